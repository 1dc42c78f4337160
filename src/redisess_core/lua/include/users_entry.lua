-- Take a stray out of a user's set; the rank of the user follows, as where a session leaves.
local function drop_stray(key, user, id)
  local own = redis.call('ZREVRANGE', key, 0, 1, 'WITHSCORES')
  local latest = own[1] == id and own[4] or own[1] ~= id and own[2]
  redis.call('ZREM', key, id)
  if latest then
    redis.call('ZADD', users, latest, user)
  else
    redis.call('ZREM', users, user)
  end
end

-- Compare an entry of a user's set with the session that has to stand behind it; returns when that ends, 0 if it does not.
local function look_at_users_entry(key, user, id)
  local meta = live_session(id)
  if meta and meta.user == user then
    if enters and not is_entered(id, meta) then
      enter_again(id, meta)
    end
    return meta.expires
  end
  stray = stray + 1
  if repair then
    drop_stray(key, user, id)
  end
  return 0
end

-- Whether the users' index goes before a session of a user in it: the same answer from many users' sets, so not counted.
local function users_go_early(ends)
  local found = goes_early(users, ends)
  if found and repair then
    keep_until(users, ends)
  end
  return found
end
