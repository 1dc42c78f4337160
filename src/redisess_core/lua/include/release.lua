-- An immortal session holds its indexes without an expiry. When it leaves, and it was the last one of the shard, they
-- get that of what remains. Else only the user's can go in time: where none of the user's sessions is immortal, which
-- is looked up for a bounded number of them in one script, or of the shard's that are; where there are more of both, a
-- touch finds out once the shard has none.
local MOST_LOOKS = 200
local looks_left = MOST_LOOKS

-- Whether the shard has few immortal sessions, and none of *user*.
local function no_immortal_of(user)
  local immortal = redis.call('ZREVRANGEBYSCORE', expiry, 'inf', 'inf', 'LIMIT', 0, MOST_LOOKS)
  for _, entry in ipairs(immortal) do
    if string.sub(entry, ID_LENGTH + 2) == user then
      return false
    end
  end
  return #immortal < MOST_LOOKS
end

local function latest_finite_expiry()
  return tonumber((redis.call('ZREVRANGEBYSCORE', expiry, '(inf', '-inf', 'WITHSCORES', 'LIMIT', 0, 1)[2])) or now
end

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
      if looks_left == -1 and no_immortal_of(user) then
        keep(user_key(user), latest_finite_expiry() - now + 50)
      end
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
