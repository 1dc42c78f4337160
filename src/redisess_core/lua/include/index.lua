-- The names of the keys that an index leads to, and how long they are kept.
local ID_LENGTH = 28

local function user_key(user)
  return prefix .. 'u:' .. user
end

local function session_key(id)
  return prefix .. 's:' .. id
end

-- The slot of a shard may be on its way from one node of a cluster to another, key by key. A key that the script does
-- not declare can be there already, or not here yet, and would look as if there were none. Asked for beside one that is
-- here, it is an error then, and the client tries again. So a script reaches for what it is about to write, or to take
-- for gone, before it writes anything that belongs to it.
local function reach(key)
  redis.call('EXISTS', activity, key)
end

local function reach_user(user)
  if user ~= '' then
    reach(user_key(user))
  end
end

-- Until when Redis is to keep the keys of a session: its end, rounded up to a tenth of the ttl or 50 seconds,
-- so that few touches have to move that. Without a ttl none does.
local function kept_until(meta)
  local grain = meta.ttl > 0 and math.min(50, meta.ttl / 10) or 5
  return (math.floor(meta.expires / grain) + 1) * grain
end
