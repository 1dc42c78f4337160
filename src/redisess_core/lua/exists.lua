-- exists: is there a live session of this id?
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session
-- ARGV 1 clock, 2 session id, 3 the manager's ttl
-- Reply: 'live' or 'gone'
-- Cost: O(1)
-- @include now
-- @include shard
-- @include session
-- @include load
-- @include index
-- @include leave
-- @include heal
local key, id = KEYS[4], ARGV[2]

if load_live(key) then
  return { 'live' }
end
if redis.call('EXISTS', key) == 0 then
  heal(id, nil, tonumber(ARGV[3]))
end
return { 'gone' }
