-- list_sessions: a page of live sessions, most recently accessed first, without their data.
-- KEYS 1 activity, 2 expiry, 3 users
-- ARGV 1 clock, 2 seconds (0: all), 3 and 4 the cursor: last access, id ('' '' first), 5 the page's size,
--      6 the manager's ttl, then the names of the fields wanted
-- Reply: 'page', time, the next cursor's score and id ('' '' at the end), then by session: id, value, ...
-- Cost: O(page * fields + log sessions)
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
-- @include list
local seconds, after_score, after_id, most = tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])

-- The page goes on below the cursor, whose session may be of another shard. Those of one score are found by halves.
local first = 0
if after_id ~= '' then
  local last = redis.call('ZCOUNT', activity, after_score, '+inf')
  first = redis.call('ZCOUNT', activity, '(' .. after_score, '+inf')
  while first < last do
    local middle = math.floor((first + last) / 2)
    if place(redis.call('ZREVRANGE', activity, middle, middle)[1]) >= place(after_id) then
      first = middle + 1
    else
      last = middle
    end
  end
end
local found = redis.call('ZREVRANGE', activity, first, first + most - 1, 'WITHSCORES')
local full = #found == 2 * most
while seconds > 0 and #found > 0 and tonumber(found[#found]) < now - seconds do
  found[#found], found[#found - 1], full = nil, nil, false
end
return list(found, full and found[#found] or '', full and found[#found - 1] or '', nil, tonumber(ARGV[6]), 7)
