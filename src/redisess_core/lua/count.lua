-- count, count_for_user, count_users: how many entries an index has, once the expired are out of it.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the index
-- ARGV 1 clock, 2 seconds (0: all), 3 'mended' where a lost index was mended, else ''
-- Reply: 'counted', number; 'more': more had expired than a slice, call again; or 'lost': an index was, mend it
-- Cost: O(log sessions), and O(log sessions) for each one that had expired, at most a slice
-- @include slice
-- @include now
-- @include shard
-- @include index
-- @include leave
-- @include publish
-- @include bury
-- @include sweep
-- @include lost
local index, seconds = KEYS[4], tonumber(ARGV[2])

if sweep(SLICE) == SLICE then
  return { 'more' }
end
if ARGV[3] == '' and is_lost(index) then
  return { 'lost' }
end
if seconds == 0 then
  return { 'counted', redis.call('ZCARD', index) }
end
return { 'counted', redis.call('ZCOUNT', index, now - seconds, '+inf') }
