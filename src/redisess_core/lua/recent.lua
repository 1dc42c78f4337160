-- list_sessions: a page of live sessions of an index, most recently accessed first, without their data.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the index: a user's, or activity
-- ARGV 1 clock, 2 user id ('' all), 3 seconds (0: all), 4 and 5 the cursor: last access, id ('' '' first),
--      6 the page's size, 7 the manager's ttl, then the names of the fields wanted
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
local index, user, seconds = KEYS[4], ARGV[2], tonumber(ARGV[3])
local after_score, after_id, most = ARGV[4], ARGV[5], tonumber(ARGV[6])

-- The page goes on below the cursor, whose session may be of another shard. Those of one score are found by halves.
local first = 0
if after_id ~= '' then
  local last = redis.call('ZCOUNT', index, after_score, '+inf')
  first = redis.call('ZCOUNT', index, '(' .. after_score, '+inf')
  while first < last do
    local middle = math.floor((first + last) / 2)
    if place(redis.call('ZREVRANGE', index, middle, middle)[1]) >= place(after_id) then
      first = middle + 1
    else
      last = middle
    end
  end
end
local found = redis.call('ZREVRANGE', index, first, first + most - 1, 'WITHSCORES')
local full = #found == 2 * most
while seconds > 0 and #found > 0 and tonumber(found[#found]) < now - seconds do
  found[#found], found[#found - 1], full = nil, nil, false
end
local next_score, next_id = full and found[#found] or '', full and found[#found - 1] or ''
return list(found, next_score, next_id, user ~= '' and user or nil, tonumber(ARGV[7]), 8)
