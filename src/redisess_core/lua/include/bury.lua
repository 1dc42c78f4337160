-- Remove what is left of a session that has expired: whatever the clock does next, it stays dead.
local function bury(id, user, ends, mark)
  reach_user(user)
  redis.call('UNLINK', session_key(id))
  leave(id, user)
  publish('expired', id, user, ends, mark == '!' and 'lifetime' or 'idle')
end

-- *met*: its metadata, where its hash is still there; *user*: whose it is by the index that led to it.
local function bury_met(id, met, user)
  bury(id, user or met.user, string.format('%.17g', met.expires), met.mark)
end
