-- Whether the session at *key*, on whose behalf the script is called, is dead; without a key it is called on nobody's.
local function acting_is_dead(key)
  if not key then
    return false
  end
  local live, expired = load_live(key)
  if expired then
    bury_met(string.sub(key, -ID_LENGTH), expired)
  end
  return not live
end
