-- The metadata of a live session that an entry names; one that seems to be gone is reached for.
local function live_session(id)
  local meta = load_live(session_key(id))
  if not meta then
    reach(session_key(id))
  end
  return meta
end

-- Sweep, before anything is compared, so that what has expired is no difference; but not a live session, whose entry is
-- at a wrong place: that is one. Returns how many sessions it removed, and whether more may have expired than a slice.
local function sweep_dead()
  local due = redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'WITHSCORES', 'LIMIT', 0, SLICE)
  local removed = 0
  for i = 1, #due, 2 do
    local id = string.sub(due[i], 1, ID_LENGTH)
    if not live_session(id) then
      bury(id, string.sub(due[i], ID_LENGTH + 2), due[i + 1], string.sub(due[i], ID_LENGTH + 1, ID_LENGTH + 1))
      removed = removed + 1
    end
  end
  return removed, removed > 0 and #due == 2 * SLICE
end
