-- Entries of a sorted set, lowest score first: those after the cursor, or from *lowest* on where there is none.
-- An access moves an entry up, so whoever pages upward meets all that stays.
-- Returns entries and scores by turns, and the next cursor ('' when this was the last page).
local function page(key, lowest, after_score, after_member, most)
  local first
  if after_member == '' then
    first = redis.call('ZCOUNT', key, '-inf', '(' .. lowest)
  elseif redis.call('ZSCORE', key, after_member) == after_score then
    first = redis.call('ZRANK', key, after_member) + 1
  else
    first = redis.call('ZCOUNT', key, '-inf', '(' .. after_score)
  end
  local found = redis.call('ZRANGE', key, first, first + most - 1, 'WITHSCORES')
  if #found < 2 * most then
    return found, '', ''
  end
  return found, found[#found], found[#found - 1]
end
