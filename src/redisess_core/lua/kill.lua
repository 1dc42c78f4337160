-- kill: end one session.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session
-- ARGV 1 clock, 2 session id, 3 reason, 4 the manager's ttl, 5 only if it is this user's ('' anyone's),
--      6 and 7 the id and the user of the session that takes its place ('' '' none)
-- Reply: 'killed' or 'gone'
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
-- @include end_session
-- @include heal
local key, id, reason, owner, successor, its_user = KEYS[4], ARGV[2], ARGV[3], ARGV[5], ARGV[6], ARGV[7]

local meta = load_live(key)
if not meta then
  if redis.call('EXISTS', key) == 0 then
    heal(id, nil, tonumber(ARGV[4]))
  end
  return { 'gone' }
end
if owner ~= '' and owner ~= meta.user then
  return { 'gone' }
end
end_session(id, meta, reason, successor, its_user)
return { 'killed' }
