-- Write all of a session's entries in the indexes, from *id* and *meta*; *missing*: how many were not there.
-- That of the expiry index says whose the session is, for when its hash has gone, and what ends it.
-- No function, as most requests that write do little else, and to define one takes longer than to count.
local score = meta.last_access == now and now_text or meta.last_access
local missing = redis.call('ZADD', activity, score, id)
  + redis.call('ZADD', expiry, meta.expires, id .. meta.mark .. meta.user)
if meta.user ~= '' then
  missing = missing
    + redis.call('ZADD', user_key(meta.user), score, id)
    + redis.call('ZADD', users, 'GT', score, meta.user)
end
