-- list_user_sessions, iter_sessions: a page of live sessions of an index, without their data.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the index: a user's, or activity
-- ARGV 1 clock, 2 user id ('' all), 3 seconds (0: all), 4 and 5 the cursor: score, id ('' '' first),
--      6 the page's size, 7 the manager's ttl, then the names of the fields wanted; a user's come lowest first
-- Reply: 'page', time, the next cursor's score and id ('' '' at the end), then by session: id, value, ...
-- Cost: O(page * fields + log sessions)
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
-- @include page
-- @include scan
local index, user, seconds, ttl = KEYS[4], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[7])

local lowest = seconds == 0 and '-inf' or string.format('%.17g', now - seconds)
local read = user == '' and scan or page
local found, next_score, next_id = read(index, lowest, ARGV[4], ARGV[5], tonumber(ARGV[6]))
return list(found, next_score, next_id, user ~= '' and user or nil, ttl, 8)
