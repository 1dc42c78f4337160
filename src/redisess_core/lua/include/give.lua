-- A session as a reply: name, value, ... of its hash, then 'now', the time.
local function give(key)
  local reply = redis.call('HGETALL', key)
  reply[#reply + 1] = 'now'
  reply[#reply + 1] = text(now)
  return reply
end
