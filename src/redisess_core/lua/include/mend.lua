-- Where an index was lost, what is touched comes back to it; but the others would be missed there until then, or, if it
-- was expiry, be counted for good when they have ended. So who looks goes through activity, then expiry, then the users
-- and theirs, a slice at a time, and makes them say what there is. A hash says how far that is.
local MOST_SEEN, MOST_OF_USER, A_CHANGE = 400, 50, 8 -- an entry costs 1, and more where it is changed

local function enter_again(id, meta)
  redis.call('ZREM', expiry, id .. (meta.mark == ':' and '!' or ':') .. meta.user)
  redis.call('ZADD', expiry, meta.expires, id .. meta.mark .. meta.user)
  redis.call('ZADD', activity, meta.last_access, id)
  if meta.user ~= '' then
    redis.call('ZADD', user_key(meta.user), meta.last_access, id)
    redis.call('ZADD', users, 'GT', meta.last_access, meta.user)
  end
  keep_all(id, meta)
end

-- By phase, what to do with an entry: returns what that cost, and whether it has to be seen again.
local menders = {}

function menders.activity(id)
  local live, expired = load_live(session_key(id))
  if live and redis.call('ZSCORE', expiry, id .. live.mark .. live.user) then
    return 1
  elseif live then
    enter_again(id, live)
  elseif expired then
    bury_met(id, expired)
  else -- whose it was, the other phases see
    redis.call('ZREM', activity, id)
  end
  return A_CHANGE
end

function menders.expiry(entry)
  local id = string.sub(entry, 1, ID_LENGTH)
  if redis.call('ZSCORE', activity, id) then
    return 1
  end
  local live, expired = load_live(session_key(id))
  if live then
    redis.call('ZREM', expiry, entry)
    enter_again(id, live)
  else
    clear_away(id, expired, string.sub(entry, ID_LENGTH + 2), 0)
  end
  return A_CHANGE
end

-- Of a user's many sessions, a page a slice: *within* says whose, and how far that is.
local within = {}

function menders.users(user)
  local same = within[1] == user
  local score, member = same and within[2] or '', same and within[3] or ''
  local found, next_score, next_member = page(user_key(user), '-inf', score, member, MOST_OF_USER)
  local gone = 0
  for i = 1, #found, 2 do
    local live, expired = load_live(session_key(found[i]))
    if not live then
      gone = gone + 1
      clear_away(found[i], expired, user, 0)
    elseif not redis.call('ZSCORE', activity, found[i]) then
      enter_again(found[i], live)
    end
  end
  if #found == 0 then
    rank_user(user)
  end
  within = { user, next_score, next_member }
  return 1 + #found / 2 + gone * A_CHANGE, next_member ~= ''
end

-- Do a slice; says whether it was the last.
local function mend()
  local place = redis.call('HMGET', mending, 'phase', 'score', 'member', 'user', 'user_score', 'user_member')
  local phase, score, member = place[1] or 'activity', place[2] or '', place[3] or ''
  within = { place[4], place[5], place[6] }
  local found, next_score, next_member = page(prefix .. phase, '-inf', score, member, MOST_SEEN)
  local seen, at_end = 0, next_member == ''
  for i = 1, #found, 2 do
    local cost, again = menders[phase](found[i])
    seen = seen + cost
    if not again then
      score, member = found[i + 1], found[i]
    end
    if again or (seen >= MOST_SEEN and i + 1 < #found) then
      next_score, next_member, at_end = score, member, false
      break
    end
  end
  release_indexes()
  if at_end and phase == 'users' then
    redis.call('UNLINK', mending)
    return true
  elseif at_end then
    phase = phase == 'activity' and 'expiry' or 'users'
  end
  redis.call('HSET', mending, 'phase', phase, 'score', next_score, 'member', next_member)
  if within[1] then
    redis.call('HSET', mending, 'user', within[1], 'user_score', within[2], 'user_member', within[3])
  end
  redis.call('PEXPIRE', mending, 60000)
  return false
end

-- Do one of the user whose index this is or, if it is that of the users, of those of longest ago.
local function mend_oldest(index)
  local names = index == users and redis.call('ZRANGE', users, 0, MOST_OF_USER - 1)
    or { string.sub(index, #prefix + 3) }
  local seen = 0
  for _, user in ipairs(names) do
    if seen < MOST_SEEN then
      seen = seen + menders.users(user)
    end
  end
  release_indexes()
end
