-- verify: compare sessions with the indexes, and where asked to, repair what differs, as a touch would.
-- KEYS 1 activity, 2 expiry, 3 users, then the sessions
-- ARGV 1 clock, 2 'repair' or ''
-- Reply: 'page', then numbers as in drift.lua; or 'more': more had expired than a slice, call again
-- Cost: O(sessions * log sessions), and O(log sessions) for each one that had expired, at most a slice
-- @include slice
-- @include now
-- @include shard
-- @include session
-- @include load
-- @include index
-- @include keep
-- @include leave
-- @include publish
-- @include bury
-- @include sweep_dead
-- @include drift
local _, more_expired = sweep_dead()
if more_expired then
  return { 'more' }
end
for i = 4, #KEYS do
  local key = KEYS[i]
  local id = string.sub(key, -ID_LENGTH)
  local meta = load_live(key)
  if meta then
    sessions = sessions + 1
    local sound = has(activity, id, meta.last_access)
    sound = has(expiry, id .. meta.mark .. meta.user, meta.expires) and sound
    if meta.user ~= '' then
      reach_user(meta.user)
      sound = has(user_key(meta.user), id, meta.last_access) and sound
    end
    if goes_early(key, meta.expires) then
      early, sound = early + 1, false
    elseif meta.expires < math.huge and redis.call('PTTL', key) == -1 then
      never, sound = never + 1, false
    end
    if repair and not sound then
-- @include enter
      if meta.user ~= '' then
        rank_user(meta.user)
      end
      keep_all(id, meta)
    end
  elseif redis.call('PTTL', key) == -1 then -- no session: a tombstone, or what somebody damaged
    never = never + 1
    if repair then
      keep_until(key, now)
    end
  end
end
return report()
