-- wipe: remove what is left of expired sessions, a slice at a time.
-- KEYS 1 activity, 2 expiry, 3 users
-- ARGV 1 clock, 2 'mended' where a lost index was mended, else ''
-- Reply: 'done', 'more', or 'lost': an index was, mend it; and how many were removed
-- Cost: O(slice * log sessions)
-- @include slice
-- @include now
-- @include shard
-- @include index
-- @include leave
-- @include publish
-- @include bury
-- @include sweep
-- @include lost
local removed = sweep(SLICE)
if removed == SLICE then
  return { 'more', removed }
end
return { ARGV[2] == '' and is_lost(activity) and 'lost' or 'done', removed }
