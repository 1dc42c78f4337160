-- get_oldest_user_session: the user's live session of longest ago last access, touched where that is due.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the user's index
-- ARGV 1 clock, 2 user id, 3 touch interval ('' not to touch)
-- Reply: name, value, ... of the hash, then the time, then its id; nothing; or 'more': a slice of dead ones went,
--        call again
-- Cost: O(fields + log sessions), and O(log sessions) for each dead one met, at most a slice
-- @include slice
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
-- @include give
local index, user, interval = KEYS[4], ARGV[2], tonumber(ARGV[3])

local first = redis.call('ZRANGE', index, 0, SLICE - 1)
for _, id in ipairs(first) do
  local key = session_key(id)
  local meta, expired = load_live(key)
  if meta then
    if interval and is_due(meta.last_access, meta.ttl, interval) then
-- @include touch
-- @include enter
      if missing > 0 or kept_until(meta) ~= was_kept_until then
        keep_all(id, meta)
      end
    end
    release_indexes()
    local reply = give(key)
    reply[#reply + 1] = id
    return reply
  end
  clear_away(id, expired, user, 0)
end
release_indexes()
return #first == SLICE and { 'more' } or {}
