-- A session's entries in the indexes, and how long Redis keeps the keys by itself.
local ID_LENGTH = 28

local function user_key(user)
  return prefix .. 'u:' .. user
end

local function session_key(id)
  return prefix .. 's:' .. id
end

-- An entry of the expiry index says whose the session is, for when its hash has gone,
-- and whether the absolute deadline ends it ('!') or the idle timeout (':').
local function expiry_entry(id, meta)
  return id .. (meta.capped and '!' or ':') .. meta.user
end

-- Until when Redis is to keep the keys of a session: its end, rounded up to a tenth of the ttl or 50 seconds,
-- so that few touches have to move that.
local function kept_until(meta)
  local grain = meta.ttl > 0 and math.min(50, meta.ttl / 10) or 50
  return (math.floor(meta.expires / grain) + 1) * grain
end

local function keep(key, seconds)
  if seconds == math.huge then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIRE', key, math.min(math.ceil(seconds * 1000) + 1, 9e15))
  end
end

-- An index is kept for the longest-lived of its sessions. One without an expiry is new, or an immortal session holds it.
local function keep_index(key, seconds)
  local left = redis.call('PTTL', key)
  local held = left == -1 and redis.call('ZCARD', key) > 1
  if seconds == math.huge or not held and left < seconds * 1000 then
    keep(key, seconds)
  end
end

local function keep_all(id, meta)
  local seconds = kept_until(meta) - now
  -- A clock of the manager's own may run slower than the server's: there the hash stays longer, and scripts decide.
  keep(session_key(id), seconds + (ARGV[1] ~= '' and 50 or 0))
  keep_index(activity, seconds)
  keep_index(expiry, seconds)
  if meta.user ~= '' then
    keep_index(user_key(meta.user), seconds)
    keep_index(users, seconds)
  end
end

-- Write all of a session's entries; returns how many were missing.
local function enter(id, meta)
  local missing = redis.call('ZADD', activity, meta.last_access, id)
    + redis.call('ZADD', expiry, meta.expires, expiry_entry(id, meta))
  if meta.user ~= '' then
    missing = missing
      + redis.call('ZADD', user_key(meta.user), meta.last_access, id)
      + redis.call('ZADD', users, 'GT', meta.last_access, meta.user)
  end
  return missing
end

-- A user's rank is that of the latest access among the sessions left.
local function rank_user(user)
  local latest = redis.call('ZREVRANGE', user_key(user), 0, 0, 'WITHSCORES')[2]
  if latest then
    redis.call('ZADD', users, latest, user)
  else
    redis.call('ZREM', users, user)
  end
end

local function leave(id, user)
  redis.call('ZREM', activity, id)
  redis.call('ZREM', expiry, id .. ':' .. user, id .. '!' .. user)
  if user ~= '' then
    redis.call('ZREM', user_key(user), id)
    rank_user(user)
  end
end

-- An immortal session holds its indexes without an expiry. When it leaves, they get that of
-- what remains: the shard's by its latest expiry, the user's by that of the user's sessions.
local function release_indexes(user)
  local function hold(key, latest)
    if latest and latest < math.huge then
      keep(key, latest - now + 50)
    end
  end
  local shard_latest = tonumber((redis.call('ZREVRANGE', expiry, 0, 0, 'WITHSCORES')[2]))
  for _, key in ipairs({ activity, expiry, users }) do
    hold(key, shard_latest)
  end
  if user ~= '' then
    local latest = now
    for _, id in ipairs(redis.call('ZRANGE', user_key(user), 0, 499)) do
      local scores = redis.call('ZMSCORE', expiry, id .. ':' .. user, id .. '!' .. user)
      latest = math.max(latest, tonumber(scores[1] or scores[2]) or now)
    end
    if redis.call('ZCARD', user_key(user)) <= 500 then
      hold(user_key(user), latest)
    end
  end
end
