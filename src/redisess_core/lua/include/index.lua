-- A session's entries in the indexes.
local ID_LENGTH = 28

local function user_key(user)
  return prefix .. 'u:' .. user
end

local function session_key(id)
  return prefix .. 's:' .. id
end

-- Write all of a session's entries; returns how many were missing. That of the expiry index says whose the session is,
-- for when its hash has gone, and what ends it.
local function enter(id, meta)
  local accessed, user = meta.accessed, meta.user
  local missing = redis.call('ZADD', activity, accessed, id)
    + redis.call('ZADD', expiry, meta.expires, id .. meta.mark .. user)
  if user ~= '' then
    missing = missing
      + redis.call('ZADD', user_key(user), accessed, id)
      + redis.call('ZADD', users, 'GT', accessed, user)
  end
  return missing
end

-- Until when Redis is to keep the keys of a session: its end, rounded up to a tenth of the ttl or 50 seconds,
-- so that few touches have to move that. Without a ttl none does.
local function kept_until(meta)
  local grain = meta.ttl > 0 and math.min(50, meta.ttl / 10) or 5
  return (math.floor(meta.expires / grain) + 1) * grain
end
