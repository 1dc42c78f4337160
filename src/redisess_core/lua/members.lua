-- get_all_sessions, get_user_sessions, get_all_users, iter_users: a page of an index, once the expired are out of it.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the index, 5 mending
-- ARGV 1 clock, 2 seconds (0: all), 3 and 4 the cursor: score, member ('' '' first), 5 the page's size,
--      6 'scan' for no order, else lowest first, where one who falls meanwhile can be missed
-- Reply: 'page', the next cursor's score and member ('' '' at the end), then member, score, ...;
--        or 'more': more had expired than a slice, or an index was lost, call again
-- Cost: O(page + log sessions), and O(log sessions) for each one that had expired, at most a slice; or one of mending
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
-- @include page
-- @include scan
-- @include session
-- @include load
-- @include keep
-- @include release
-- @include heal
-- @include mend
local index, seconds = KEYS[4], tonumber(ARGV[2])

if sweep(SLICE) == SLICE then
  return { 'more' }
end
if ARGV[4] == '' and not in_order() then
  if not mend() then
    return { 'more' }
  end
elseif ARGV[4] == '' and not is_oldest_known(index) then
  mend_oldest(index)
end
local lowest = seconds == 0 and '-inf' or string.format('%.17g', now - seconds)
local read = ARGV[6] == 'scan' and scan or page
local found, next_score, next_member = read(index, lowest, ARGV[3], ARGV[4], tonumber(ARGV[5]))
table.insert(found, 1, 'page')
table.insert(found, 2, next_score)
table.insert(found, 3, next_member)
return found
