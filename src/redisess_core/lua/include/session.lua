-- What the fields of a session's hash mean. KEYS.md names them.
local LIVE, REPLACED = '1', '2'

-- A time as it is stored: in seconds or, where it is a whole number (which takes Redis less memory), in microseconds.
local function read_time(stored)
  return string.find(stored, '[.e]') and tonumber(stored) or tonumber(stored) / 1000000
end

-- When a session ends, and the mark of what ends it: '!' its absolute deadline, ':' its idle timeout.
local function ending(last_access, ttl, deadline)
  local idle_end = ttl > 0 and last_access + ttl or math.huge
  if deadline and deadline <= idle_end then
    return deadline, '!'
  end
  return idle_end, ':'
end

-- Is a touch to be written? Never later than after a tenth of the ttl.
local function is_due(last_access, ttl, interval)
  return now >= last_access + (ttl > 0 and math.min(interval, ttl / 10) or interval)
end
