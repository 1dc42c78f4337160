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
