-- The hash of session *id* is not there. If it has merely expired, the sweep will come; if it was
-- evicted, take the session out of the indexes. Its user is known to the caller, or found by the
-- expiry that the manager's ttl gave it; where neither tells, what remains goes at its expiry.
local function heal(id, user, ttl)
  local last_access = redis.call('ZSCORE', activity, id)
  if user then
    local scores = redis.call('ZMSCORE', expiry, id .. ':' .. user, id .. '!' .. user)
    if (tonumber(scores[1] or scores[2]) or math.huge) > now then
      leave(id, user)
    end
  elseif last_access then
    local ends = ttl > 0 and tonumber(last_access) + ttl or math.huge
    for _, entry in ipairs(redis.call('ZRANGEBYSCORE', expiry, ends, ends, 'LIMIT', 0, 5)) do
      if string.sub(entry, 1, ID_LENGTH) == id then
        if ends > now then
          leave(id, string.sub(entry, ID_LENGTH + 2))
        end
        return
      end
    end
    redis.call('ZREM', activity, id)
  end
end
