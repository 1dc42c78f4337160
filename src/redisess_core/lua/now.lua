-- now: the server's time.
-- KEYS 1 activity, 2 expiry, 3 users (no key is read; they say which server is asked)
-- ARGV 1 clock
-- Reply: seconds since the epoch
-- Cost: O(1)
-- @include now
return now_text
