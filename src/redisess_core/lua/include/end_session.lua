-- End a live session: its hash, its entries, and the word of it.
local function end_session(id, meta, reason, successor, its_user)
  redis.call('DEL', session_key(id))
  leave(id, meta.user)
  if meta.expires == math.huge then
    release_indexes(meta.user)
  end
  if successor and successor ~= '' then
    publish('rotated', id, its_user, now_text, reason, successor)
  else
    publish('killed', id, meta.user, now_text, reason)
  end
end
