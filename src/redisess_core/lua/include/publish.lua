-- Tell whoever listens what became of a session. At most once, never a token.
local function publish(kind, id, user, at, reason, successor)
  redis.call('PUBLISH', prefix .. 'events', table.concat({ kind, id, at, reason, successor or '', user }, '\n'))
end
