-- verify: compare users' sets with the sessions and with the users' index, and where asked to, repair what differs.
-- KEYS 1 activity, 2 expiry, 3 users, then the users' sets
-- ARGV 1 clock, 2 'repair', 'enter' or ''
-- Reply: 'page', then numbers as in drift.lua, 1 if the users' index goes early, then which of the sets have too many
--        entries to be read here; or 'more': more had expired than a slice, call again
-- Cost: O(entries * log sessions), of at most fifty, and O(log sessions) for each session that had expired
-- @include slice
-- @include now
-- @include shard
-- @include session
-- @include load
-- @include index
-- @include keep
-- @include leave
-- @include publish
-- @include bury
-- @include sweep_dead
-- @include drift
local function enter_again(id, meta)
-- @include enter
  keep_all(id, meta)
end
-- @include users_entry
local swept, more_expired = sweep_dead()
if more_expired then
  return { 'more' }
end
local left, long, latest = 50 - swept, {}, 0
for i = 4, #KEYS do
  local key = KEYS[i]
  local user, size, ends = string.sub(key, #prefix + 3), redis.call('ZCARD', key), 0
  if size > 0 then
    users_met = users_met + 1
    local ranked = has(users, user, tonumber(redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2]))
    if repair and not ranked then
      rank_user(user)
    end
    if size <= left then
      left = left - size
      for _, id in ipairs(redis.call('ZRANGE', key, 0, size - 1)) do
        ends = math.max(ends, look_at_users_entry(key, user, id))
      end
    else
      long[#long + 1] = i - 4
    end
    if repair and not ranked then
      keep_index(users, math.max(ends - now, 0) + 50)
    end
    look_at_expiry(key, ends)
    latest = math.max(latest, ends)
  end
end
local reply = report()
reply[#reply + 1] = users_go_early(latest) and 1 or 0
for _, which in ipairs(long) do
  reply[#reply + 1] = which
end
return reply
