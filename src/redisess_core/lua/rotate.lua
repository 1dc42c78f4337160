-- rotate: give a session a new id; the old one is dead at once. A sign-in also gives it a user, and may leave it its id.
-- A fresh one takes nothing over: the old session ends, and another begins in its place.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session, 5 the session under its new id
-- ARGV 1 clock, 2 old id, 3 new id, 4 user id of a sign-in ('' none), 5 ttl ('' as it was),
--      6 max lifetime (0 none), 7 limit (0 none), 8 limit policy, 9 'fresh' or '',
--      10 max data bytes, 11 the manager's ttl, 12 a deadline of its own ('' as it was, 'inf' none),
--      13 how many fields to delete, their names, then name, value, ...
-- Reply: name, value, ... of the hash, then the time; nothing if it is gone; 'full'; 'large', how much, of what;
--        or 'more': call again
-- Cost: O(fields + log sessions), and O(log sessions) for each session ended, at most a slice
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
-- @include sweep
-- @include make_room
-- @include change
-- @include give
local old_key, new_key, old_id, id = KEYS[4], KEYS[5], ARGV[2], ARGV[3]
local sign_in, fresh, CHANGES = ARGV[4] ~= '', ARGV[9] == 'fresh', 13
local own_deadline = tonumber(ARGV[12])

local meta, expired = load_live(old_key)
if not meta then
  if load_live(new_key) then -- a client that lost the first answer asks again
    return give(new_key)
  end
  clear_away(old_id, expired, nil, tonumber(ARGV[11]))
  release_indexes()
  return {}
end
local size, too_large = measure(fresh and new_key or old_key, CHANGES, tonumber(ARGV[10]))
if too_large then
  return too_large
end
reach_user(meta.user)
reach_user(ARGV[4])
if sign_in then
  local room = make_room(ARGV[4], tonumber(ARGV[7]), ARGV[8], old_id)
  if room ~= 'room' then
    return { room }
  end
end

local was_immortal, old_user, lifetime = meta.expires == math.huge, meta.user, tonumber(ARGV[6])
if sign_in and not fresh and meta.deadline and not own_deadline then -- a lifetime of the session's own, which starts anew
  local began = read_time(redis.call('HGET', old_key, 'a') or '0')
  began = began > 0 and began or read_time(redis.call('HGET', old_key, 'c'))
  local own = math.floor((meta.deadline - began) * 1000000 + 0.5) / 1000000
  lifetime = lifetime > 0 and math.min(lifetime, own) or own
end
if fresh then
  end_session(old_id, meta, 'logout')
  meta.user, meta.deadline = '', nil
  redis.call('HSET', new_key, 's', LIVE, 'c', now_stored)
else
  leave(old_id, meta.user)
  redis.call('RENAME', old_key, new_key)
end
change(new_key, CHANGES, size)
if sign_in then
  meta.user = ARGV[4]
  redis.call('HSET', new_key, 'u', meta.user, 'a', now_stored)
end
if sign_in or fresh or own_deadline then
  set_deadline(new_key, meta, math.min(
    (sign_in or fresh) and lifetime > 0 and now + lifetime or math.huge,
    own_deadline or math.huge
  ))
end
meta.ttl = tonumber(ARGV[5]) or meta.ttl
if fresh or now > meta.last_access then
  meta.last_access, meta.accessed = now, now_stored
end
redis.call('HSET', new_key, 'l', meta.accessed, 't', ARGV[5] ~= '' and ARGV[5] or meta.ttl)
set_expiry(meta)
-- @include enter
keep_all(id, meta)
if was_immortal then
  release_later(old_user)
end
release_indexes()
if fresh then
  publish('created', id, meta.user, now_text, '')
else
  publish('rotated', old_id, meta.user, now_text, 'rotated', id)
end
return give(new_key)
