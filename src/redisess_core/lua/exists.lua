-- exists: is there a live session of this id?
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session
-- ARGV 1 clock, 2 session id, 3 the manager's ttl
-- Reply: 'live' or 'gone'
-- Cost: O(1), and O(log sessions) for one that is gone and still in an index
-- @include now
-- @include shard
-- @include session
-- @include load
-- @include index
-- @include keep
-- @include leave
-- @include release
-- @include publish
-- @include bury
-- @include heal
local key, id = KEYS[4], ARGV[2]

local live, expired = load_live(key)
if live then
  return { 'live' }
end
clear_away(id, expired, nil, tonumber(ARGV[3]))
release_indexes()
return { 'gone' }
