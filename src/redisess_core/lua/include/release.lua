-- An immortal session holds its indexes without an expiry. When it leaves, and it was the last one of the shard, they
-- get that of what remains. Else only the user's can go in time: where none of the user's sessions is immortal, which
-- is looked up for a bounded number of them in one script, or of the shard's that are; where there are more of both, a
-- touch finds out once the shard has none. A script says first whose immortal sessions left, and releases at its end.
local MOST_LOOKS, looks_left, shard_looks_left = 200, 200, 3
local unheld = {}

local function release_later(user)
  unheld[user] = true
end

-- Whether the shard has few immortal sessions, and none of *user*.
local function no_immortal_of(user)
  shard_looks_left = shard_looks_left - 1
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

-- The latest end of the user's sessions; nil where one is immortal, or that cannot be found out.
local function latest_of(user)
  local latest = now
  for i = 0, redis.call('ZCARD', user_key(user)) - 1 do
    looks_left = looks_left - 1
    if looks_left < 0 then
      return shard_looks_left > 0 and no_immortal_of(user) and latest_finite_expiry() or nil
    end
    local id = redis.call('ZRANGE', user_key(user), i, i)[1]
    local scores = redis.call('ZMSCORE', expiry, id .. ':' .. user, id .. '!' .. user)
    local ends = tonumber(scores[1] or scores[2]) or math.huge
    if ends == math.huge then
      return nil
    end
    latest = math.max(latest, ends)
  end
  return latest
end

local function release_indexes()
  if not next(unheld) then
    return
  end
  local latest = latest_expiry()
  for user in pairs(unheld) do
    if latest < math.huge then
      for _, key in ipairs({ activity, expiry, users, user_key(user) }) do
        keep(key, math.max(latest - now, 0) + 50)
      end
    else
      local latest_of_user = latest_of(user)
      if latest_of_user then
        keep(user_key(user), latest_of_user - now + 50)
      end
    end
  end
end
