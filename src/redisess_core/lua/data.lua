-- get, get_all: data of a live session.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session
-- ARGV 1 clock, 2 the manager's ttl, then the fields' names; none: all of the hash
-- Reply: value, ... in the order asked (nil where there is none), then the time; name, value, ... of the hash,
--        then the time; or nothing if it is gone
-- Cost: O(fields), and O(log sessions) for one that is gone and still in an index
-- @include now
-- @include shard
-- @include session
-- @include load
-- @include give
local key = KEYS[4]

local live, expired = load_live(key)
if live and #ARGV == 2 then
  return give(key)
end
if live then
  local reply = {}
  for i = 3, #ARGV do
    reply[i - 2] = redis.call('HGET', key, ARGV[i])
  end
  reply[#ARGV - 1] = now_text
  return reply
end

-- @include index
-- @include keep
-- @include leave
-- @include release
-- @include publish
-- @include bury
-- @include heal
clear_away(string.sub(key, -ID_LENGTH), expired, nil, tonumber(ARGV[2]))
release_indexes()
return {}
