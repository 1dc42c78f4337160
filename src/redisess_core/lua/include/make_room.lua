-- Make room for one more session of *user* where *limit* (0: none) allows that many, not counting session *except*.
-- 'room'; 'full' where the policy is "refuse"; 'more' where another slice is needed.
local function make_room(user, limit, policy, except)
  if limit == 0 or user == '' then
    return 'room'
  end
  local key = user_key(user)
  local function count()
    return redis.call('ZCARD', key) - (redis.call('ZSCORE', key, except) and 1 or 0)
  end
  if count() < limit then
    return 'room'
  end
  if sweep(SLICE) == SLICE then
    return 'more'
  end
  local excess = count() - limit + 1
  if excess > 0 and policy == 'refuse' then
    return 'full'
  end
  local ended = 0
  for _, id in ipairs(redis.call('ZRANGE', key, 0, math.min(excess, SLICE))) do
    if id ~= except and ended < excess and ended < SLICE then
      local meta = load_live(session_key(id))
      if meta then
        end_session(id, meta, 'limit')
      else
        leave(id, user)
      end
      ended = ended + 1
    end
  end
  return ended < excess and 'more' or 'room'
end
