-- Whether an index was lost, as where Redis evicts. A shard has as many entries in activity as in expiry; what was lost
-- twice shows at what was not touched since: the session of longest ago of a user, and of the user of longest ago.
-- *index*: the one that is asked for
local function is_lost(index)
  if redis.call('ZCARD', activity) ~= redis.call('ZCARD', expiry) then
    return true
  end
  local user = index == users and redis.call('ZRANGE', users, 0, 0)[1]
  if index == activity or index == users and not user then
    return false
  end
  local oldest = redis.call('ZRANGE', user and user_key(user) or index, 0, 0)[1]
  return (user or oldest) and not (oldest and redis.call('ZSCORE', activity, oldest))
end
