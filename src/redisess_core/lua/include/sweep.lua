-- Remove at most *most* sessions that have expired, the earliest first; returns how many.
local function sweep(most)
  local due = redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
  for i = 1, #due, 2 do
    local id = string.sub(due[i], 1, ID_LENGTH)
    local capped = string.sub(due[i], ID_LENGTH + 1, ID_LENGTH + 1) == '!'
    local user = string.sub(due[i], ID_LENGTH + 2)
    redis.call('DEL', session_key(id))
    leave(id, user)
    publish('expired', id, user, due[i + 1], capped and 'lifetime' or 'idle')
  end
  return #due / 2
end
