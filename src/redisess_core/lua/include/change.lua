-- Changes to fields of a hash: at ARGV[*at*] how many names to delete, the names, then name, value by turns.
-- Data is counted: names (without their 'd:') and values, in bytes, kept in the field n.
local function is_data(name)
  return string.sub(name, 1, 2) == 'd:'
end

local function each_change(at, on_delete, on_store)
  local last_delete = at + tonumber(ARGV[at])
  for i = at + 1, last_delete do
    on_delete(ARGV[i])
  end
  for i = last_delete + 1, #ARGV, 2 do
    on_store(ARGV[i], ARGV[i + 1])
  end
end

-- The most keys of data that a session holds; config.py has the same number.
local MAX_KEYS = 1000

local function count_keys(key)
  local count = 0
  for _, name in ipairs(redis.call('HKEYS', key)) do
    count = count + (is_data(name) and 1 or 0)
  end
  return count
end

-- The size of the data after the changes, and what to answer where they make it too large.
local function measure(key, at, max_bytes)
  local before = tonumber(redis.call('HGET', key, 'n') or 0)
  local size, more = before, 0
  each_change(at, function(name)
    local old = redis.call('HSTRLEN', key, name)
    if is_data(name) and old > 0 then
      size, more = size - (#name - 2) - old, more - 1
    end
  end, function(name, value)
    if is_data(name) then
      local old = redis.call('HSTRLEN', key, name)
      size = size + #value - old
      if old == 0 then
        size, more = size + #name - 2, more + 1
      end
    end
  end)
  if size > before and size > max_bytes then
    return size, { 'large', size, 'bytes' }
  end
  if more > 0 and redis.call('HLEN', key) + more > MAX_KEYS then
    local keys = count_keys(key) + more
    if keys > MAX_KEYS then
      return size, { 'large', keys, 'keys' }
    end
  end
  return size
end

-- Make the changes; returns how many fields were deleted.
local function change(key, at, size)
  local deleted = 0
  each_change(at, function(name)
    deleted = deleted + redis.call('HDEL', key, name)
  end, function(name, value)
    redis.call('HSET', key, name, value)
  end)
  if size > 0 then
    redis.call('HSET', key, 'n', size)
  else
    redis.call('HDEL', key, 'n')
  end
  return deleted
end
