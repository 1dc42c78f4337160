-- Make room for one more session of *user* where *limit* (0: none) allows that many, not counting session *except*.
-- 'room'; 'full' where the policy is "refuse"; 'more' where another slice is needed.
local LOOKS = 200 -- at sessions of the user, in one script

local function make_room(user, limit, policy, except)
  if limit == 0 or user == '' then
    return 'room'
  end
  local key = user_key(user)
  local function excess()
    return redis.call('ZCARD', key) - (redis.call('ZSCORE', key, except) and 1 or 0) - limit + 1
  end
  if excess() <= 0 then
    return 'room'
  end
  local live, dead = {}, 0
  for _, id in ipairs(redis.call('ZRANGE', key, 0, LOOKS - 1)) do
    local meta, expired = load_live(session_key(id))
    if not meta then -- the dead take no room
      clear_away(id, expired, user, 0)
      dead = dead + 1
    elseif id ~= except then
      live[#live + 1] = { id, meta }
    end
    if dead == SLICE then
      break
    end
  end
  release_indexes()
  if dead == SLICE or (redis.call('ZCARD', key) > LOOKS and sweep(SLICE) == SLICE) then
    return 'more'
  end
  local over = excess()
  if over > 0 and policy == 'refuse' then
    return 'full'
  end
  for i = 1, math.min(over, SLICE - dead, #live) do
    end_session(live[i][1], live[i][2], 'limit')
  end
  release_indexes()
  return over > SLICE - dead and 'more' or 'room'
end
