-- kill: end one session.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session, 5 the session on whose behalf, if on one's
-- ARGV 1 clock, 2 session id, 3 reason, 4 the manager's ttl, 5 only if it is this user's ('' anyone's),
--      6 and 7 the id and the user of the session in another shard that takes its place ('' '' none)
-- Reply: 'killed' or 'gone'; 'refused' where the session on whose behalf is not live
-- Cost: O(log sessions)
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
-- @include end_session
-- @include acting
local key, id, reason, owner, successor, its_user = KEYS[4], ARGV[2], ARGV[3], ARGV[5], ARGV[6], ARGV[7]

if acting_is_dead(KEYS[5]) then
  return { 'refused' }
end
local meta, expired = load_live(key)
if not meta then
  if successor ~= '' and redis.call('HGET', key, 'to') == successor then -- a client that lost the first answer
    return { 'killed' }
  end
  clear_away(id, expired, nil, tonumber(ARGV[4]))
  release_indexes()
  return { 'gone' }
end
if owner ~= '' and owner ~= meta.user then
  return { 'gone' }
end
end_session(id, meta, reason, successor, its_user)
release_indexes()
return { 'killed' }
