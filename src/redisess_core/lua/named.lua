-- plan_named: the live ones of some sessions, without their data.
-- KEYS 1 activity, 2 expiry, 3 users, then the sessions
-- ARGV 1 clock, 2 the manager's ttl, then the names of the fields wanted
-- Reply: 'page', time, '', '', then by session: id, value, ...
-- Cost: O(sessions * fields), and O(log sessions) for each that is gone and still in an index
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
-- @include list
local found = {}
for i = 4, #KEYS do
  found[#found + 1] = string.sub(KEYS[i], -ID_LENGTH)
  found[#found + 1] = ''
end
return list(found, '', '', nil, tonumber(ARGV[2]), 3)
