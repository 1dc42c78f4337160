-- A shard has as many entries in activity as in expiry, unless Redis lost one of these, as it does when it evicts.
local function in_order()
  return redis.call('ZCARD', activity) == redis.call('ZCARD', expiry) and redis.call('HLEN', mending) == 0
end

-- What was lost more than once does not show there, but is what was not touched since: the session of longest ago of a
-- user, and of the user of longest ago.
local function is_oldest_known(index)
  if index == activity then
    return true
  end
  local user = index == users and redis.call('ZRANGE', users, 0, 0)[1]
  local oldest = redis.call('ZRANGE', user and user_key(user) or index, 0, 0)[1]
  return not user and not oldest or oldest and redis.call('ZSCORE', activity, oldest)
end
