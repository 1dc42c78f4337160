-- count, count_for_user, count_users: how many entries an index has, once the expired are out of it.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the index, 5 mending
-- ARGV 1 clock, 2 seconds (0: all)
-- Reply: 'counted', number; or 'more': more had expired than a slice, or an index was lost, call again
-- Cost: O(log sessions), and O(log sessions) for each one that had expired, at most a slice; and a slice of mending
-- @include slice
-- @include now
-- @include shard
-- @include index
-- @include leave
-- @include publish
-- @include bury
-- @include sweep
local mending = KEYS[5]
-- @include order
local index, seconds = KEYS[4], tonumber(ARGV[2])

if sweep(SLICE) == SLICE then
  return { 'more' }
end
local function counted()
  local lowest = seconds > 0 and now - seconds
  return { 'counted', lowest and redis.call('ZCOUNT', index, lowest, '+inf') or redis.call('ZCARD', index) }
end
if in_order() and is_oldest_known(index) then
  return counted()
end

-- @include session
-- @include load
-- @include keep
-- @include release
-- @include heal
-- @include page
-- @include mend
if in_order() then
  mend_oldest(index)
elseif not mend() then
  return { 'more' }
end
return counted()
