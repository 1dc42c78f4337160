-- How long Redis keeps the keys by itself.
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
