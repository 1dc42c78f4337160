-- authenticate, get: a live session with its data, touched where that is due.
-- KEYS 1 activity, 2 expiry, 3 users, 4 the session
-- ARGV 1 clock, 2 touch interval ('' not to touch), 3 the manager's ttl
-- Reply: name, value, ... of the hash, then the time; or nothing
-- Cost: O(fields), and with a touch O(log sessions)
-- @include now
local key, interval = KEYS[4], tonumber(ARGV[2])

local reply = redis.pcall('HGETALL', key)
local size = #reply
local status, user, ttl, deadline, last
for i = 1, size, 2 do
  local name = reply[i]
  if name == 's' then
    status = reply[i + 1]
  elseif name == 'u' then
    user = reply[i + 1]
  elseif name == 'l' then
    last = i + 1
  elseif name == 't' then
    ttl = tonumber(reply[i + 1])
  elseif name == 'd' then
    deadline = tonumber(reply[i + 1])
  end
end

-- Most calls end here, so this says in expressions what LIVE, read_time, ending and is_due of the include say:
-- to define and call those would take as long as all of this.
local last_access, idle_end
local accessed = last and tonumber(reply[last])
if status == '1' and not (accessed and ttl) then -- somebody damaged it
  status = ''
end
if status == '1' then
  last_access = string.find(reply[last], '[.e]') and accessed or accessed / 1000000
  idle_end = ttl > 0 and last_access + ttl or math.huge
end
local live = status == '1' and now < idle_end and not (deadline and now >= deadline)
if live then
  reply[size + 1] = now_text
  if not interval or now < last_access + (ttl > 0 and math.min(interval, ttl / 10) or interval) then
    return reply
  end
end

-- What few calls need comes after the answer that most get.
-- @include session
local expires, mark
if status == LIVE then
  expires, mark = ending(last_access, ttl, deadline)
end
-- @include shard
-- @include index
local id = string.sub(key, -ID_LENGTH)
local meta
if live then
  meta = {
    user = user or '',
    last_access = last_access,
    accessed = reply[last],
    ttl = ttl,
    deadline = deadline,
    expires = expires,
    mark = mark,
  }
  reach_user(meta.user)
-- @include touch
-- @include enter
  reply[last] = meta.accessed
  if missing == 0 and kept_until(meta) == was_kept_until then
    return reply
  end
end

-- @include keep
-- @include leave
-- @include release
-- @include publish
-- @include bury
-- @include sweep
-- @include heal
if live then
  keep_all(id, meta)
  pcall(sweep, 10) -- where it cannot be done now, the touch is done all the same
  return reply
end
clear_away(id, expires and { user = user or '', expires = expires, mark = mark }, nil, tonumber(ARGV[3]))
release_indexes()
return {}
