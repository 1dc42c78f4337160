-- What differs between the indexes and the sessions, counted by kind; verify.py names the kinds in the order of report().
-- ARGV 2 'repair'; 'enter': besides, enter what lives and an index that leads to it does not have; or '' only to look
local repair, enters = ARGV[2] ~= '', ARGV[2] == 'enter'
local sessions, users_met, missing, stray, misplaced, early, never = 0, 0, 0, 0, 0, 0, 0

local function report()
  return { 'page', sessions, users_met, missing, stray, misplaced, early, never }
end

-- Whether an index has an entry as it has to be.
local function has(index, member, score)
  local stored = redis.call('ZSCORE', index, member)
  if not stored then
    missing = missing + 1
  elseif tonumber(stored) ~= score then
    misplaced = misplaced + 1
  else
    return true
  end
  return false
end

-- A user's rank is that of the latest access among the user's sessions, of which there is one.
local function rank_user(user)
  redis.call('ZADD', users, redis.call('ZREVRANGE', user_key(user), 0, 0, 'WITHSCORES')[2], user)
end

-- Milliseconds by which the clock and what Redis counts down may differ within one script; and those of an expiry so far
-- away that none is later (keep() ends there).
local SLACK, AGES = 1000, 4e15

-- Whether Redis would remove a key before *ends* (infinite: at all).
local function goes_early(key, ends)
  local left = redis.call('PTTL', key)
  return left >= 0 and left < math.min((ends - now) * 1000 - SLACK, AGES)
end

-- Whether Redis would never remove an index, though no session of the shard is immortal.
local function never_goes(index)
  return redis.call('PTTL', index) == -1 and latest_expiry() < math.huge and redis.call('ZCARD', expiry) > 0
end

local function keep_until(key, ends)
  keep(key, math.max(ends - now, 0) + 50)
end

-- Compare the native expiry of an index with the latest end of the sessions that it is kept for.
local function look_at_expiry(index, ends)
  if goes_early(index, ends) then
    early = early + 1
  elseif ends < math.huge and never_goes(index) then
    never, ends = never + 1, latest_expiry()
  else
    return
  end
  if repair then
    keep_until(index, ends)
  end
end

local function is_entered(id, meta)
  return redis.call('ZSCORE', activity, id) and redis.call('ZSCORE', expiry, id .. meta.mark .. meta.user)
end
