-- A session as a reply: name, value, ... of its hash, then the time.
local function give(key)
  local reply = redis.call('HGETALL', key)
  reply[#reply + 1] = now_text
  return reply
end
