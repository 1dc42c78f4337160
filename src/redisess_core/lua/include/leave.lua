-- Take a session out of the indexes; its user is reached for. A key that the last entry leaves is not asked for again:
-- in a slot that moves it could be anywhere.
local function leave(id, user)
  redis.call('ZREM', activity, id)
  redis.call('ZREM', expiry, id .. ':' .. user, id .. '!' .. user)
  if user ~= '' then
    local own = redis.call('ZREVRANGE', user_key(user), 0, 1, 'WITHSCORES')
    local latest = own[1] == id and own[4] or own[1] ~= id and own[2]
    redis.call('ZREM', user_key(user), id)
    if latest then -- a user's rank is that of the latest access among the sessions left
      redis.call('ZADD', users, latest, user)
    else
      redis.call('ZREM', users, user)
    end
  end
end
