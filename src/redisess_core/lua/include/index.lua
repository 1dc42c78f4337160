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
-- so that few touches have to move that. Without a ttl none does.
local function kept_until(meta)
  local grain = meta.ttl > 0 and math.min(50, meta.ttl / 10) or 5
  return (math.floor(meta.expires / grain) + 1) * grain
end

local function keep(key, seconds)
  if seconds == math.huge then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIRE', key, math.min(math.ceil(seconds * 1000) + 1, 9e15))
  end
end

local function latest_expiry()
  return tonumber((redis.call('ZREVRANGE', expiry, 0, 0, 'WITHSCORES')[2])) or now
end

-- An index is kept for the longest-lived of its sessions. One without an expiry is new, or an immortal session holds
-- it: one of the shard, or, for a user's index, another of that user.
local function keep_index(key, seconds)
  local left = redis.call('PTTL', key)
  if left == -1 and seconds < math.huge and (key == users or redis.call('ZCARD', key) > 1) then
    seconds = math.max(seconds, latest_expiry() - now)
  end
  if left < seconds * 1000 then
    keep(key, seconds)
  end
end

local function keep_all(id, meta)
  -- A clock of the manager's own may run slower than the server's: there keys stay longer, and scripts decide.
  local seconds = kept_until(meta) - now + (ARGV[1] ~= '' and 50 or 0)
  keep(session_key(id), seconds)
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

-- An immortal session holds its indexes without an expiry. When it leaves, and it was the last one of the shard, they
-- get that of what remains. Else only the user's can go in time: where none of the user's sessions is immortal, which
-- is looked up for a bounded number of them in one script; of more, a touch finds out once the shard has none.
local looks_left = 200

local function release_indexes(user)
  local latest = latest_expiry()
  if latest < math.huge then
    for _, key in ipairs({ activity, expiry, users, user_key(user) }) do
      keep(key, math.max(latest - now, 0) + 50)
    end
    return
  end
  latest = now
  for i = 0, redis.call('ZCARD', user_key(user)) - 1 do
    looks_left = looks_left - 1
    if looks_left < 0 then
      return
    end
    local id = redis.call('ZRANGE', user_key(user), i, i)[1]
    local scores = redis.call('ZMSCORE', expiry, id .. ':' .. user, id .. '!' .. user)
    latest = math.max(latest, tonumber(scores[1] or scores[2]) or math.huge)
    if latest == math.huge then
      return
    end
  end
  keep(user_key(user), latest - now + 50)
end
