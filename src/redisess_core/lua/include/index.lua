-- The names of the keys that an index leads to, and how long they are kept.
local ID_LENGTH = 28

local function user_key(user)
  return prefix .. 'u:' .. user
end

local function session_key(id)
  return prefix .. 's:' .. id
end

-- Until when Redis is to keep the keys of a session: its end, rounded up to a tenth of the ttl or 50 seconds,
-- so that few touches have to move that. Without a ttl none does.
local function kept_until(meta)
  local grain = meta.ttl > 0 and math.min(50, meta.ttl / 10) or 5
  return (math.floor(meta.expires / grain) + 1) * grain
end
