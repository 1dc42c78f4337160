-- A session's entries in the indexes, and how long Redis keeps the keys by itself.
local ID_LENGTH = 28
local SLACK = 50 -- seconds that an index may outlive its last session, where that session's ttl is shorter

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

local function milliseconds(seconds)
  return math.min(math.ceil(seconds * 1000) + 1, 9e15)
end

-- Let Redis drop a hash by itself at its session's end. A clock of the manager's own may run
-- slower than the server's: there the hash gets slack, and scripts decide.
local function keep_hash(id, meta)
  local key = session_key(id)
  if meta.expires == math.huge then
    redis.call('PERSIST', key)
    return
  end
  local left = meta.expires - now
  if ARGV[1] ~= '' then
    left = left + math.max(SLACK, meta.ttl)
  end
  redis.call('PEXPIRE', key, milliseconds(left))
end

-- Let Redis keep an index key until a session's end, and some slack, so that few touches have to
-- write it. One without an expiry is new, or an immortal session holds it.
local function hold_index(key, meta)
  local need = meta.expires - now
  if need == math.huge then
    redis.call('PERSIST', key)
    return
  end
  local left = redis.call('PTTL', key)
  if left == -1 and redis.call('ZCARD', key) > 1 then
    return
  end
  if left < need * 1000 then
    redis.call('PEXPIRE', key, milliseconds(need + math.max(SLACK, meta.ttl)))
  end
end

-- Write all of a session's entries.
local function enter(id, meta)
  redis.call('ZADD', activity, meta.last_access, id)
  redis.call('ZADD', expiry, meta.expires, expiry_entry(id, meta))
  hold_index(activity, meta)
  hold_index(expiry, meta)
  if meta.user ~= '' then
    local own = user_key(meta.user)
    redis.call('ZADD', own, meta.last_access, id)
    redis.call('ZADD', users, 'GT', meta.last_access, meta.user)
    hold_index(own, meta)
    hold_index(users, meta)
  end
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
      redis.call('PEXPIRE', key, milliseconds(latest - now + SLACK))
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
