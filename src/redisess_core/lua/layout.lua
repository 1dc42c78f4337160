-- A manager's first operation, and again on a server that lost its scripts: read the namespace's record, or make it; look at the server.
-- KEYS 1 the record
-- ARGV 1 the record as this manager would write it
-- Reply: the record ('' where the server is too old to make one), INFO server, INFO memory ('' where it does not say)
-- Cost: O(1)
local record, wanted = KEYS[1], ARGV[1]

local function info(section)
  local reply = redis.pcall('INFO', section)
  return type(reply) == 'string' and reply or ''
end

local server = info('server')
local major, minor = string.match(server, 'redis_version:(%d+)%.(%d+)')
if major and (tonumber(major) < 6 or (tonumber(major) == 6 and tonumber(minor) < 2)) then
  return { '', server, '' }
end
local recorded = redis.call('GET', record) -- first, as a server that takes no writes can still be read from
if not recorded then
  redis.call('SET', record, wanted)
end
return { recorded or wanted, server, info('memory') }
