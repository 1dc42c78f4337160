-- The place of a session id among others of a shard: 52 bits of it, as Lua's own order of text follows a locale.
local function place(id)
  return tonumber(string.sub(id, 4, 16), 16) or -1
end

-- The entry of session *id* in the expiry index, if it ends at *ends*. Entries of one score are in the order of their
-- ids, so the place is found by halves.
-- A script makes a bounded number of steps; what it does not come to is found at the next look.
local steps_left = 400

local function entry_ending(ends, id)
  local score = string.format('%.17g', ends)
  local low, high = redis.call('ZCOUNT', expiry, '-inf', '(' .. score), redis.call('ZCOUNT', expiry, '-inf', score)
  while low < high do
    steps_left = steps_left - 1
    local middle = math.floor((low + high) / 2)
    local entry = redis.call('ZRANGE', expiry, middle, middle)[1]
    if string.sub(entry, 1, ID_LENGTH) == id then
      return entry
    elseif place(entry) < place(id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return nil
end

-- The hash of session *id* is not there (expired, or evicted), or is none. Take it out of the indexes. Its user is known
-- to the caller, or found by the end that the manager's ttl gave it, or that it has none; where neither tells, what
-- remains goes at its expiry.
local function heal(id, user, ttl)
  local ends, mark
  reach(session_key(id))
  if user then
    local scores = redis.call('ZMSCORE', expiry, id .. ':' .. user, id .. '!' .. user)
    ends, mark = tonumber(scores[1] or scores[2]), scores[1] and ':' or '!'
  else
    local last_access = redis.call('ZSCORE', activity, id)
    if not last_access or steps_left <= 0 then
      return
    end
    for _, possible in ipairs(ttl > 0 and { tonumber(last_access) + ttl, math.huge } or { math.huge }) do
      local entry = entry_ending(possible, id)
      if entry then
        ends, mark, user = possible, string.sub(entry, ID_LENGTH + 1, ID_LENGTH + 1), string.sub(entry, ID_LENGTH + 2)
        break
      end
    end
    if not ends then
      redis.call('ZREM', activity, id)
      return
    end
  end
  if ends and ends <= now then
    bury(id, user, string.format('%.17g', ends), mark)
    return
  end
  reach_user(user)
  leave(id, user)
  if ends == math.huge then
    release_later(user)
  end
end

-- Session *id* is not live: what is left of it goes. *expired*: its metadata, if its hash is still there.
local function clear_away(id, expired, user, ttl)
  if expired then
    bury_met(id, expired, user)
  else
    heal(id, user, ttl)
  end
end
