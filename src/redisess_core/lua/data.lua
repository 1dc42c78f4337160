-- get, get_all: data of a live session.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session
-- ARGV 1 clock, then the fields' names; none: all of the hash
-- Reply: value, ... in the order asked (nil where there is none), then the time; name, value, ... of the hash,
--        then the time; or nothing if it is gone
-- Cost: O(fields)
-- @include now
-- @include shard
-- @include session
-- @include load
-- @include give
local key = KEYS[4]

local live, expired = load_live(key)
if live and #ARGV == 1 then
  return give(key)
end
if live then
  local reply = {}
  for i = 2, #ARGV do
    reply[i - 1] = redis.call('HGET', key, ARGV[i])
  end
  reply[#ARGV] = now_text
  return reply
end

-- @include index
-- @include leave
-- @include publish
-- @include bury
if expired then
  bury_met(string.sub(key, -ID_LENGTH), expired)
end
return {}
