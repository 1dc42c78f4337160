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

-- The size of the data after the changes, and before them.
local function measure(key, at)
  local before = tonumber(redis.call('HGET', key, 'n') or 0)
  local size = before
  each_change(at, function(name)
    local old = redis.call('HSTRLEN', key, name)
    if is_data(name) and old > 0 then
      size = size - (#name - 2) - old
    end
  end, function(name, value)
    if is_data(name) then
      local old = redis.call('HSTRLEN', key, name)
      size = size + #value - old + (old == 0 and #name - 2 or 0)
    end
  end)
  return size, before
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
