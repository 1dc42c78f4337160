-- wipe: remove what is left of expired sessions, and mend what a lost index left, a slice at a time.
-- KEYS 1 activity, 2 expiry, 3 users, 4 mending
-- ARGV 1 clock
-- Reply: 'done' or 'more', how many were removed
-- Cost: O(slice * log sessions)
-- @include slice
-- @include now
-- @include shard
-- @include index
-- @include leave
-- @include publish
-- @include bury
-- @include sweep
local mending = KEYS[4]
-- @include order
-- @include page
-- @include session
-- @include load
-- @include keep
-- @include release
-- @include heal
-- @include mend
local removed = sweep(SLICE)
if removed == SLICE then
  return { 'more', removed }
end
return { (in_order() or mend()) and 'done' or 'more', removed }
