-- wipe: remove what is left of expired sessions, a slice at a time.
-- KEYS 1 activity, 2 expiry, 3 users
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
local removed = sweep(SLICE)
return { removed == SLICE and 'more' or 'done', removed }
