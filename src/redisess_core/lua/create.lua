-- create: a new session, with room made for it under the user's limit.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the new session, 5 (none) what says that it was created before
-- ARGV 1 clock, 2 session id, 3 user id ('' anonymous), 4 ttl, 5 max lifetime (0 none), 6 limit (0 none),
--      7 limit policy, 8 created ('' now), 9 a deadline of its own ('' none), 10 size of the data,
--      11 how many seconds it is said for ('' without 5), then name, value, ... of the hash's other fields
-- Reply: 'live', time; 'full'; with 5: 'before'; or 'more': call again
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
local key, id, user = KEYS[4], ARGV[2], ARGV[3]
local ttl, lifetime, size = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[10])
local takes_over = ARGV[8] ~= ''
local created = takes_over and ARGV[8] or now_stored
local once = KEYS[5]

local found = load_live(key)
if once and (found or redis.call('GET', once)) then
  return { 'before' }
end
if found then -- a client that lost the first answer asks again
  return { 'live', found.accessed }
end
reach_user(user)
local room = make_room(user, tonumber(ARGV[6]), ARGV[7], id)
if room ~= 'room' then
  return { room }
end
if once then
  redis.call('SET', once, '1', 'EX', ARGV[11])
end
redis.call('HSET', key, 's', LIVE, 'c', created, 'l', now_stored, 't', ARGV[4])
if user ~= '' then
  redis.call('HSET', key, 'u', user)
  if takes_over then
    redis.call('HSET', key, 'a', now_stored)
  end
end
local deadline = tonumber(ARGV[9])
if lifetime > 0 then
  deadline = math.min(deadline or math.huge, now + lifetime)
end
if deadline then
  redis.call('HSET', key, 'd', deadline)
end
if size > 0 then
  redis.call('HSET', key, 'n', size)
end
for i = 12, #ARGV, 2 do
  redis.call('HSET', key, ARGV[i], ARGV[i + 1])
end
local meta = { user = user, last_access = now, ttl = ttl, deadline = deadline }
set_expiry(meta)
-- @include enter
keep_all(id, meta)
if not takes_over then -- else the other says so
  publish('created', id, user, now_text, '')
end
pcall(sweep, 10) -- where it cannot be done now, the session is there all the same
return { 'live', now_text }
