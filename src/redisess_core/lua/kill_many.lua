-- kill_user, kill_all: end the sessions of an index that were created before the call, a slice at a time.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the index: a user's, or activity, 5 the session on whose behalf, if on one's
-- ARGV 1 clock, 2 user id ('' all), 3 reason, 4 the time of the call ('' now), 5 and 6 the cursor: score, id ('' '' first),
--      7 the manager's ttl, 8 'mended' where a lost index was mended, else '', then session ids to keep
-- Reply: 'done' or 'more', the time of the call, the cursor's score and id, how many were ended;
--        'refused' where the session on whose behalf is not live; or 'lost': an index was, mend it
-- Cost: O(slice * log sessions)
-- @include slice
-- @include now
-- @include shard
-- @include session
-- @include load
-- @include index
-- @include keep
-- @include leave
-- @include release
-- @include publish
-- @include bury
-- @include heal
-- @include end_session
-- @include acting
-- @include page
-- @include sweep
-- @include lost
local index, user, reason = KEYS[4], ARGV[2], ARGV[3]
local called, ttl = ARGV[4] ~= '' and ARGV[4] or now_text, tonumber(ARGV[7])
local kept = {}
for i = 9, #ARGV do
  kept[ARGV[i]] = true
end

if acting_is_dead(KEYS[5]) then
  return { 'refused' }
end
if user == '' and ARGV[6] == '' and ARGV[8] == '' then
  if sweep(SLICE) == SLICE then
    return { 'more', called, '', '', 0 }
  elseif is_lost(index) then
    return { 'lost' }
  end
end
local found, next_score, next_id = page(index, '-inf', ARGV[5], ARGV[6], SLICE)
local live, expired, ended = {}, {}, 0
for i = 1, #found, 2 do -- all of them first: a slice is done as a whole or not at all
  live[i], expired[i] = load_live(session_key(found[i]))
  if not live[i] then
    reach(session_key(found[i]))
  end
  reach_user((live[i] or expired[i] or { user = '' }).user)
end
for i = 1, #found, 2 do
  if steps_left <= 0 then -- the next slice goes on from here
    next_score, next_id = found[i - 1], found[i - 2]
    break
  end
  local id, meta = found[i], live[i]
  if not meta then
    clear_away(id, expired[i], user ~= '' and user or nil, ttl)
  elseif not kept[id] and meta.created <= tonumber(called) then
    end_session(id, meta, reason)
    ended = ended + 1
  end
end
release_indexes()
return { next_id == '' and 'done' or 'more', called, next_score, next_id, ended }
