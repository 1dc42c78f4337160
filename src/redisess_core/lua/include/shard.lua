-- What a script of a shard works on.
-- KEYS 1 activity, 2 expiry, 3 users
local activity, expiry, users = KEYS[1], KEYS[2], KEYS[3]
local prefix = string.sub(activity, 1, -9) -- '{namespace:shard}:', without 'activity'
