-- A page of sessions as a reply: those of *found* (ids and scores by turns) that are live, with the fields that are
-- named from ARGV[*at*] on; what is left of others goes, a bounded number at a time. *user*: whose index it is, if one's.
local function list(found, next_score, next_id, user, ttl, at)
  local reply, size, cleared = { 'page', now_text, next_score, next_id }, 4, 0
  for i = 1, #found, 2 do
    local id = found[i]
    local fields = redis.pcall('HMGET', session_key(id), 's', 'u', 'c', 'l', 't', 'd', unpack(ARGV, at))
    local live, expired = live_of(fields)
    if live then
      reply[size + 1] = id
      for j = 7, #fields do
        reply[size + j - 5] = fields[j]
      end
      size = size + #fields - 5
    elseif cleared < 100 then
      cleared = cleared + 1
      clear_away(id, expired, user, ttl)
    end
  end
  release_indexes()
  return reply
end
