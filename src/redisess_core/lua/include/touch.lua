-- Move a session's last access to now, never back, and with it its expiry; returns whether its keys are kept longer for it.
local function touch(id, meta, ttl_changed)
  local was_kept_until, was_capped = kept_until(meta), meta.capped
  meta.last_access = math.max(now, meta.last_access)
  set_expiry(meta)
  if was_capped ~= meta.capped then
    redis.call('ZREM', expiry, id .. (was_capped and '!' or ':') .. meta.user)
  end
  redis.call('HSET', session_key(id), 'l', meta.last_access)
  if enter(id, meta) > 0 or ttl_changed or kept_until(meta) ~= was_kept_until then
    keep_all(id, meta)
    return true
  end
  return false
end
