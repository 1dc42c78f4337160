-- Move a session's last access to now, never back, and with it its expiry; returns whether its keys are to be kept
-- longer for it.
local function touch(id, meta)
  local was_kept_until, was_mark = kept_until(meta), meta.mark
  if now > meta.last_access then
    meta.last_access, meta.accessed = now, now_text
  end
  meta.expires, meta.mark = ending(meta.last_access, meta.ttl, meta.deadline)
  if meta.mark ~= was_mark then
    redis.call('ZREM', expiry, id .. was_mark .. meta.user)
  end
  redis.call('HSET', session_key(id), 'l', meta.accessed)
  return enter(id, meta) > 0 or kept_until(meta) ~= was_kept_until
end
