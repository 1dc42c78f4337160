-- End a live session: its hash, its entries, and the word of it. Where another takes its place in another shard, a
-- tombstone stays for a while, that a client which lost the answer and asks again is answered alike.
local function end_session(id, meta, reason, successor, its_user)
  redis.call('UNLINK', session_key(id))
  leave(id, meta.user)
  if meta.expires == math.huge then
    release_later(meta.user)
  end
  successor = successor or ''
  if successor ~= '' then
    redis.call('HSET', session_key(id), 's', REPLACED, 'to', successor)
    redis.call('PEXPIRE', session_key(id), 30000)
  end
  if successor ~= '' and reason == 'rotated' then
    publish('rotated', id, its_user, now_text, reason, successor)
  else
    publish('killed', id, meta.user, now_text, reason)
  end
end
