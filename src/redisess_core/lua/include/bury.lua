-- Remove what is left of a session that has expired: whatever the clock does next, it stays dead. *met*: its metadata,
-- where its hash is still there.
local function bury(id, user, ends, mark)
  redis.call('UNLINK', session_key(id))
  leave(id, user)
  publish('expired', id, user, ends, mark == '!' and 'lifetime' or 'idle')
end

local function bury_met(id, met)
  bury(id, met.user, string.format('%.17g', met.expires), met.mark)
end
