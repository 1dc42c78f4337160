-- get_all_sessions, get_user_sessions, get_all_users, iter_users: a page of an index, once the expired are out of it.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the index
-- ARGV 1 clock, 2 seconds (0: all), 3 and 4 the cursor: score, member ('' '' first), 5 the page's size,
--      6 'scan' for no order, else lowest first, where one who falls meanwhile can be missed,
--      7 'mended' where a lost index was mended, else ''
-- Reply: 'page', the next cursor's score and member ('' '' at the end), then member, score, ...;
--        'more': more had expired than a slice, call again; or 'lost': an index was, mend it
-- Cost: O(page + log sessions), and O(log sessions) for each one that had expired, at most a slice
-- @include slice
-- @include now
-- @include shard
-- @include index
-- @include leave
-- @include publish
-- @include bury
-- @include sweep
-- @include lost
-- @include page
-- @include scan
local index, seconds = KEYS[4], tonumber(ARGV[2])

if sweep(SLICE) == SLICE then
  return { 'more' }
end
if ARGV[4] == '' and ARGV[7] == '' and is_lost(index) then
  return { 'lost' }
end
local lowest = seconds == 0 and '-inf' or string.format('%.17g', now - seconds)
local read = ARGV[6] == 'scan' and scan or page
local found, next_score, next_member = read(index, lowest, ARGV[3], ARGV[4], tonumber(ARGV[5]))
table.insert(found, 1, 'page')
table.insert(found, 2, next_score)
table.insert(found, 3, next_member)
return found
