-- verify, and what found an index lost: compare a page of an index with the sessions, and where asked to, remove what no
-- live session stands behind, and enter what lives.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the index: one of these, or a user's set
-- ARGV 1 clock, 2 'repair', 'enter' or '', 3 user id of a user's set, 4 the cursor ('' first), 5 the page's size
-- Reply: 'page', then numbers as in drift.lua, 1 if the users' index goes early, then 'done', or 'next' and the next
--        cursor; or 'more': more had expired than a slice, call again
-- Cost: O(page * log sessions), and O(log sessions) for each one that had expired, at most a slice
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
-- @include sweep_dead
-- @include scan
-- @include drift
local function enter_again(id, meta)
-- @include enter
  keep_all(id, meta)
end
-- @include users_entry
local index, user, cursor, most = KEYS[4], ARGV[3], ARGV[4], tonumber(ARGV[5])

-- Whether something stands behind an entry of one of the shard's own indexes.
local function stands(member)
  if index == users then
    reach_user(member)
    return redis.call('ZCARD', user_key(member)) > 0
  end
  local id = string.sub(member, 1, ID_LENGTH)
  local meta = live_session(id)
  if enters and meta and not is_entered(id, meta) then
    reach_user(meta.user)
    enter_again(id, meta)
  end
  return meta and (index == activity or member == id .. meta.mark .. meta.user)
end

local function remove(member, score)
  redis.call('ZREM', index, member)
  if index == expiry and tonumber(score) == math.huge then
    release_later(string.sub(member, ID_LENGTH + 2))
  end
end

local swept, more_expired = sweep_dead()
if more_expired then
  return { 'more' }
end
local found, _, next_cursor = scan(index, '-inf', '', cursor, most)
local of_the_shard = index == activity or index == expiry or index == users
local ends, more = 0, next_cursor ~= ''
for i = 1, #found, 2 do
  if repair and swept + stray >= 100 then -- the same page again, where these are gone
    next_cursor, more = cursor, true
    break
  end
  if not of_the_shard then
    ends = math.max(ends, look_at_users_entry(index, user, found[i]))
  elseif not stands(found[i]) then
    stray = stray + 1
    if repair then
      remove(found[i], found[i + 1])
    end
  end
end
release_indexes()
if not of_the_shard then
  if goes_early(index, ends) then
    early = 1
    if repair then
      keep_until(index, ends)
    end
  end
elseif index == users and not more then -- last of all indexes: now their own expiry
  look_at_expiry(activity, latest_expiry())
  look_at_expiry(expiry, latest_expiry())
  look_at_expiry(users, 0)
end
local reply = report()
reply[#reply + 1] = users_go_early(ends) and 1 or 0
reply[#reply + 1] = more and 'next' or 'done'
reply[#reply + 1] = more and next_cursor or nil
return reply
