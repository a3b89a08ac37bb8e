-- Claims: on the queue of a leader (a drain), and on the events of a sweep's list; and their renewal.

-- A drain is the claim on a leader's queue. It lasts until the last that it handed out is done, so that a sibling which
-- arrives meanwhile waits behind those that came before it, however long their start takes to reach their handler.
local function drain_by(leader, token, lease)
  redis.call("ZADD", key("releases"), now + lease, leader)
  redis.call("HSET", key("drainers"), leader, token)
end

local function end_drain(leader)
  redis.call("ZREM", key("releases"), leader)
  redis.call("HDEL", key("drainers"), leader)
end

-- A drain whose record is gone, as by eviction, belongs to no other consumer.
local function is_drained_by(leader, token)
  if leader == "" then return false end
  local drainer = redis.call("HGET", key("drainers"), leader)
  return not drainer or drainer == token
end

-- Whether no consumer has begun with an event since a sweep has claimed it. "!" marks the claim that is to break a cycle.
local function is_claimed_by(id, token)  -- rarely
  local claimant = redis.call("HGET", key("claimants"), id)
  return claimant == token or claimant == token .. "!"
end

-- The same of a queue that a sweep has claimed, by its first event.
local function is_queue_claimed_by(leader, first, token)
  return is_live("releases", leader) and redis.call("HGET", key("drainers"), leader) == token
    and redis.call("ZSCORE", key("queue:" .. leader), first)
end

-- A consumer that begins with an event that a sweep has claimed, or works on one, goes through the sweep's list. From now on
-- the list is shared, and stays claimed until a lease after the last renewal. It is prolonged at most twice in a lease.
local function go_through(token, lease)  -- rarely
  local record = key("sweep:" .. token)
  local left = redis.call("PTTL", record)
  if left < 0 then return end
  if redis.call("ZADD", key("sweeps"), "NX", now, token) == 1 then redis.call("PEXPIRE", key("sweeps"), lease) end
  if left > lease / 2 then return end
  for _, line in ipairs(redis.call("LRANGE", record, 0, -1)) do
    local item = cjson.decode(line)
    if item[3] == "released" then
      if is_queue_claimed_by(item[2], item[1], token) then drain_by(item[2], token, lease) end
    elseif is_claimed_by(item[1], token) then
      redis.call("ZADD", key("claims"), now + lease, item[1])
    end
  end
  redis.call("PEXPIRE", record, lease)
  redis.call("PEXPIRE", key("sweeps"), lease)
end

-- Prolong the lease on an event, and what was claimed with it. Returns whether it is still the caller's.
local function renew_lease(id, token, lease)
  local owner, _, _, redelivery = parse_lease(redis.call("GET", key("processing:" .. id)))
  if owner ~= token then return false end
  redis.call("PEXPIRE", key("processing:" .. id), lease)
  redis.call("PEXPIRE", key("tried:" .. id), redelivery or 2 * lease)
  redis.call("ZADD", key("hands"), "XX", now + lease, id)
  keep_from_original(id)
  redis.call("ZADD", key("claims"), "XX", now + lease, id)
  return true
end

-- Prolong the claim on a queue that the caller drains.
local function renew_drain(leader, claim, lease)
  if redis.call("HGET", key("drainers"), leader) == claim then
    redis.call("ZADD", key("releases"), "XX", now + lease, leader)
  end
end
