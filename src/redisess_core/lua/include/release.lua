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
