-- Move a session's last access to now, and with it its expiry.
local function touch(id, meta)
  local was_capped = meta.capped
  meta.last_access = now
  set_expiry(meta)
  if was_capped ~= meta.capped then
    redis.call('ZREM', expiry, id .. (was_capped and '!' or ':') .. meta.user)
  end
  redis.call('HSET', session_key(id), 'l', now)
  enter(id, meta)
  keep_hash(id, meta)
end

local function is_due(meta, interval) -- is a touch to be written? never later than after a tenth of the ttl
  if meta.ttl > 0 then
    interval = math.min(interval, meta.ttl / 10)
  end
  return now >= meta.last_access + interval
end
