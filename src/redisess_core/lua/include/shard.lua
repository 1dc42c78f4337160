-- What every script of a shard begins with.
-- KEYS 1 activity, 2 expiry, 3 users; ARGV 1 the manager's clock in seconds, '' for the server's own
local activity, expiry, users = KEYS[1], KEYS[2], KEYS[3]
local prefix = string.sub(activity, 1, -9) -- '{namespace:shard}:', without 'activity'
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function text(number) -- a reply would cut a number to an integer
  return string.format('%.17g', number)
end
