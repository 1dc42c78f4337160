-- Remove what is left of a session that has expired: whatever the clock does next, it stays dead.
local function bury(id, user, ends, mark)
  redis.call('UNLINK', session_key(id))
  leave(id, user)
  publish('expired', id, user, ends, mark == '!' and 'lifetime' or 'idle')
end
