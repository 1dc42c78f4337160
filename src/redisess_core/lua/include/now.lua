-- The time: as a number, as text that reads back as the same number, and as it is stored.
-- ARGV 1 the manager's clock in seconds, '' for the server's own
local now, now_text, now_stored = tonumber(ARGV[1]), ARGV[1], ARGV[1]
if not now then
  local time = redis.call('TIME')
  local seconds, micros = time[1], time[2]
  if #micros < 6 then
    micros = string.rep('0', 6 - #micros) .. micros
  end
  now_text, now_stored = seconds .. '.' .. micros, seconds .. micros
  now = tonumber(now_text)
end
