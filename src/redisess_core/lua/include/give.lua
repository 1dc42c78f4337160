-- A session as a reply: 'live', the time, then every field of its hash, name and value by turns.
local function give(key)
  local reply = redis.call('HGETALL', key)
  table.insert(reply, 1, 'live')
  table.insert(reply, 2, text(now))
  return reply
end
