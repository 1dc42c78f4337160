-- authenticate, get: a live session with its data, touched where that is due.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session
-- ARGV 1 clock, 2 session id, 3 touch interval ('' not to touch), 4 the manager's ttl
-- Reply: 'live', time, name, value, ...; or 'gone'
-- Cost: O(fields), and with a touch O(log sessions)
-- @include shard
-- @include session
-- @include index
-- @include publish
-- @include sweep
-- @include touch
-- @include heal
local key, id, interval = KEYS[4], ARGV[2], tonumber(ARGV[3])

local reply = redis.call('HGETALL', key)
local fields = {}
for i = 1, #reply, 2 do
  fields[reply[i]] = reply[i + 1]
end
local meta = read_meta(fields)
if not meta then
  heal(id, nil, tonumber(ARGV[4]))
  return { 'gone' }
end
if now >= set_expiry(meta).expires then
  return { 'gone' }
end
if interval and is_due(meta, interval) then
  touch(id, meta)
  sweep(2)
  reply[#reply + 1] = 'l'
  reply[#reply + 1] = text(now)
end
table.insert(reply, 1, 'live')
table.insert(reply, 2, text(now))
return reply
