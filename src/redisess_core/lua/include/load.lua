-- What scripts know of a session, from its hash.
local function set_expiry(meta) -- from last access, ttl and deadline
  meta.expires, meta.mark = ending(meta.last_access, meta.ttl, meta.deadline)
end

-- Give a session an absolute deadline (infinite: none), in its hash and in *meta*.
local function set_deadline(key, meta, deadline)
  if deadline < math.huge then
    meta.deadline = deadline
    redis.call('HSET', key, 'd', deadline)
  else
    meta.deadline = nil
    redis.call('HDEL', key, 'd')
  end
end

-- The metadata of a live session, from these fields of its hash: s, u, c, l, t, d; else nil and, where its hash is
-- still there, that of one that has expired. 'accessed' is the last access as it is stored. A key that somebody damaged
-- is no session, and stops nobody.
local function live_of(found)
  if found[1] ~= LIVE or not (tonumber(found[3] or '') and tonumber(found[4] or '') and tonumber(found[5] or '')) then
    return nil
  end
  local meta = {
    user = found[2] or '',
    created = read_time(found[3]),
    last_access = read_time(found[4]),
    accessed = found[4],
    ttl = tonumber(found[5]),
    deadline = tonumber(found[6] or ''),
  }
  set_expiry(meta)
  if now < meta.expires then
    return meta
  end
  return nil, meta
end

local function load_live(key)
  return live_of(redis.pcall('HMGET', key, 's', 'u', 'c', 'l', 't', 'd'))
end
