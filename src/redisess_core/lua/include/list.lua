-- A page of sessions as a reply: those of *found* (ids and scores by turns) that are live, with the fields that are
-- named from ARGV[*at*] on; what is left of others goes, a bounded number at a time. *user*: whose index it is, if one's.
local function list(found, next_score, next_id, user, ttl, at)
  local reply, cleared = { 'page', now_text, next_score, next_id }, 0
  for i = 1, #found, 2 do
    local id = found[i]
    local key = session_key(id)
    local live, expired = load_live(key)
    if live then
      reply[#reply + 1] = id
      for _, value in ipairs(redis.call('HMGET', key, unpack(ARGV, at))) do
        reply[#reply + 1] = value
      end
    elseif cleared < 100 then
      cleared = cleared + 1
      clear_away(id, expired, user, ttl)
    end
  end
  release_indexes()
  return reply
end
