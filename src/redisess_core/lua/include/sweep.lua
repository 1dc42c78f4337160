-- Remove at most *most* sessions that have expired, the earliest first; returns how many.
local function sweep(most)
  local due = redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'WITHSCORES', 'LIMIT', 0, most)
  for i = 1, #due, 2 do
    local id = string.sub(due[i], 1, ID_LENGTH)
    local mark, user = string.sub(due[i], ID_LENGTH + 1, ID_LENGTH + 1), string.sub(due[i], ID_LENGTH + 2)
    bury(id, user, due[i + 1], mark)
  end
  return #due / 2
end
