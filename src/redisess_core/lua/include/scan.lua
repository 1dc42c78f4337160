-- Entries of a sorted set in no order, from the cursor on ('' at first), those of a score from *lowest* on: what stays
-- throughout comes at least once, up or down as it may move meanwhile, and there is an end, however much moves on
-- and on (a page by score would run after it). Redis gives some more than it is asked for: it is asked for less.
-- Returns as a page by score does: entries and scores by turns, and the next cursor ('' when this was the last page).
local function scan(key, lowest, _, cursor, most)
  local reply = redis.call('ZSCAN', key, cursor == '' and '0' or cursor, 'COUNT', math.max(1, math.floor(most * 0.8)))
  local all, least, found = reply[2], tonumber(lowest), {}
  for i = 1, #all, 2 do
    if tonumber(all[i + 1]) >= least then
      found[#found + 1] = all[i]
      found[#found + 1] = all[i + 1]
    end
  end
  return found, '', reply[1] ~= '0' and reply[1] or ''
end
