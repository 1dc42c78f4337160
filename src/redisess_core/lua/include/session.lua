-- Reading a session's hash. KEYS.md names its fields.
local LIVE = '1'

local function set_expiry(meta) -- from last access, ttl and deadline
  local idle_end = math.huge
  if meta.ttl > 0 then
    idle_end = meta.last_access + meta.ttl
  end
  meta.capped = meta.deadline < math.huge and meta.deadline <= idle_end
  meta.expires = meta.capped and meta.deadline or idle_end
  return meta
end

-- The metadata of a live session, else nil; as found in its hash, where a field can be missing.
local function live(status, user, created, last_access, ttl, deadline)
  if status ~= LIVE then
    return nil
  end
  local meta = set_expiry({
    user = user or '',
    created = tonumber(created),
    last_access = tonumber(last_access),
    ttl = tonumber(ttl),
    deadline = tonumber(deadline) or math.huge,
  })
  return now < meta.expires and meta or nil
end

local function load_live(key)
  local found = redis.call('HMGET', key, 's', 'u', 'c', 'l', 't', 'd')
  return live(found[1], found[2], found[3], found[4], found[5], found[6])
end

local function is_due(meta, interval) -- is a touch to be written? never later than after a tenth of the ttl
  if meta.ttl > 0 then
    interval = math.min(interval, meta.ttl / 10)
  end
  return now >= meta.last_access + interval
end
