-- authenticate, get: a live session with its data, touched where that is due.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session
-- ARGV 1 clock, 2 session id, 3 touch interval ('' not to touch), 4 the manager's ttl
-- Reply: name, value, ... of the hash, then 'now', the time; or nothing
-- Cost: O(fields), and with a touch O(log sessions)
-- @include shard
-- @include session
local key, id, interval = KEYS[4], ARGV[2], tonumber(ARGV[3])

local reply = redis.call('HGETALL', key)
local s, u, c, l, t, d
for i = 1, #reply, 2 do
  local name = reply[i]
  if name == 's' then
    s = reply[i + 1]
  elseif name == 'u' then
    u = reply[i + 1]
  elseif name == 'c' then
    c = reply[i + 1]
  elseif name == 'l' then
    l = reply[i + 1]
  elseif name == 't' then
    t = reply[i + 1]
  elseif name == 'd' then
    d = reply[i + 1]
  end
end
local size, meta = #reply, live(s, u, c, l, t, d)
reply[size + 1], reply[size + 2] = 'now', text(now)
if meta and not (interval and is_due(meta, interval)) then
  return reply
end

-- What few calls need comes after the answer that most get.
-- @include index
-- @include publish
-- @include sweep
-- @include touch
-- @include heal
if not meta then
  if size == 0 then
    heal(id, nil, tonumber(ARGV[4]))
  end
  return {}
end
if touch(id, meta) then
  sweep(10)
end
reply[size + 3], reply[size + 4] = 'l', text(now)
return reply
