-- End a live session: its hash, its entries, and the word of it. Where another takes its place in another shard, a
-- tombstone stays for a while, that a client which lost the answer and asks again is answered alike.
local function end_session(id, meta, reason, successor, its_user)
  local key = session_key(id)
  reach_user(meta.user)
  successor = successor or ''
  if successor ~= '' then
    local held = redis.call('HKEYS', key)
    redis.call('HSET', key, 's', REPLACED, 'to', successor)
    for _, name in ipairs(held) do
      if name ~= 's' then
        redis.call('HDEL', key, name)
      end
    end
    redis.call('PEXPIRE', key, 30000)
  else
    redis.call('UNLINK', key)
  end
  leave(id, meta.user)
  if meta.expires == math.huge then
    release_later(meta.user)
  end
  if successor ~= '' and reason == 'rotated' then
    publish('rotated', id, its_user, now_text, reason, successor)
  else
    publish('killed', id, meta.user, now_text, reason)
  end
end
