-- Move a session's last access to now, never back, and with it its expiry: in its hash and in *meta*; what enters it
-- in the indexes follows. Its keys are kept longer for it if kept_until(meta) is not *was_kept_until* any more.
local was_kept_until, was_mark = kept_until(meta), meta.mark
if now > meta.last_access then
  meta.last_access, meta.accessed = now, now_stored
end
meta.expires, meta.mark = ending(meta.last_access, meta.ttl, meta.deadline)
if meta.mark ~= was_mark then -- the new entry first: an index that is left empty is gone, and could be anywhere
  redis.call('ZADD', expiry, meta.expires, id .. meta.mark .. meta.user)
  redis.call('ZREM', expiry, id .. was_mark .. meta.user)
end
redis.call('HSET', key, 'l', meta.accessed)
