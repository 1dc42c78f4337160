-- set, delete, write, and what a request changed: fields of a live session's hash, its ttl, a touch.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session
-- ARGV 1 clock, 2 session id, 3 'touch', 'end' (if no data is left), or '', 4 ttl ('' as it was), 5 max data bytes,
--      6 the manager's ttl, 7 absolute deadline ('' as it was, 'inf' none),
--      8 how many fields do not count as data that is left, their names,
--      then how many fields to delete, their names, then name, value, ...
-- Reply: 'stored', time, last access, how many were deleted; 'emptied': it ended; 'gone'; or 'large', how much, of what
-- Cost: O(changes), and with a touch or a ttl O(log sessions)
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
-- @include change
local key, id, CHANGES = KEYS[4], ARGV[2], 9 + tonumber(ARGV[8])

local meta, expired = load_live(key)
if not meta then
  clear_away(id, expired, nil, tonumber(ARGV[6]))
  release_indexes()
  return { 'gone' }
end
local size, too_large = measure(key, CHANGES, tonumber(ARGV[5]))
if too_large then
  return too_large
end
reach_user(meta.user)
local deleted = change(key, CHANGES, size)
if ARGV[3] == 'end' and meta.user == '' then
  local left = size
  for i = 9, CHANGES - 1 do
    local held = redis.call('HSTRLEN', key, ARGV[i])
    left = left - (held > 0 and #ARGV[i] - 2 + held or 0) -- as it was counted: without the 'd:'
  end
  if left == 0 then
    end_session(id, meta, 'logout')
    release_indexes()
    return { 'emptied' }
  end
end
local ttl, deadline = tonumber(ARGV[4]) or meta.ttl, tonumber(ARGV[7])
local changed = ttl ~= meta.ttl or (deadline and deadline ~= (meta.deadline or math.huge))
if changed or ARGV[3] == 'touch' then
  local was_immortal, old_mark = meta.expires == math.huge, meta.mark
  if changed then
    if ttl ~= meta.ttl then
      redis.call('HSET', key, 't', ARGV[4])
      meta.ttl = ttl
    end
    if deadline then
      set_deadline(key, meta, deadline)
    end
    set_expiry(meta)
  end
-- @include touch
-- @include enter
  if meta.mark ~= old_mark then
    redis.call('ZREM', expiry, id .. old_mark .. meta.user)
  end
  if changed or missing > 0 or kept_until(meta) ~= was_kept_until then
    keep_all(id, meta)
  end
  if was_immortal and meta.expires < math.huge then
    release_later(meta.user)
    release_indexes()
  end
end
return { 'stored', now_text, meta.accessed, deleted }
