-- Reading a session's hash. KEYS.md names its fields.
local LIVE = '1'

local function read_meta(fields) -- *fields*: name -> value; nil unless the status is live
  if fields.s ~= LIVE then
    return nil
  end
  return {
    user = fields.u or '',
    created = tonumber(fields.c),
    last_access = tonumber(fields.l),
    ttl = tonumber(fields.t),
    deadline = tonumber(fields.d) or math.huge,
  }
end

local function set_expiry(meta) -- from last access, ttl and deadline
  local idle_end = math.huge
  if meta.ttl > 0 then
    idle_end = meta.last_access + meta.ttl
  end
  meta.capped = meta.deadline < math.huge and meta.deadline <= idle_end
  meta.expires = meta.capped and meta.deadline or idle_end
  return meta
end

local function load_live(key) -- the metadata of a live session, else nil
  local v = redis.call('HMGET', key, 's', 'u', 'c', 'l', 't', 'd')
  local meta = read_meta({ s = v[1], u = v[2], c = v[3], l = v[4], t = v[5], d = v[6] })
  if meta and now < set_expiry(meta).expires then
    return meta
  end
  return nil
end
