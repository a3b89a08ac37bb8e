-- Leases: who holds an event, until when, and under which fence.

-- Lease values are "token|fence|lease|redelivery", the last two in milliseconds, those of the holder's policy. Returns all
-- four, or nil if no consumer holds it.
local function parse_lease(value)
  if not value then return nil end
  local bar, _, fence, lease, redelivery = string.find(value, "|(%d+)|(%d+)|(%d+)$")
  if not bar then return value, "0" end
  return string.sub(value, 1, bar - 1), fence, tonumber(lease), tonumber(redelivery)
end

local function holder(id) return parse_lease(redis.call("GET", key("processing:" .. id))) end

-- The fences of an event only grow, also when Redis forgets: each is the clock, in microseconds, or one more than the last one
-- of this event, whichever is greater. The last one counts when the clock was set back; the clock counts when the last one
-- lapsed, or was lost with the last writes before a failover. So they repeat only if both happen at a time: the last one is
-- lost, and the clock of the new server is behind by more than the time that has passed since.
local function next_fence(last)
  local fence = time[1] .. string.sub("00000" .. time[2], -6)
  if last < now_us then return fence end
  return string.format("%.0f", last + 1)
end

-- For how many milliseconds an event is still held. A lease that lasts for longer than it was taken for was taken before
-- the server's clock was set back: it is shortened, and its holder, if it lives, prolongs it in time.
local function lease_left(id)  -- rarely
  local left = redis.call("PTTL", key("processing:" .. id))
  if left <= 0 then return left end
  local _, _, lease = parse_lease(redis.call("GET", key("processing:" .. id)))
  if not lease or left <= lease then return left end
  redis.call("PEXPIRE", key("processing:" .. id), lease)
  return lease
end

-- End a lease. `hands` lists the held events, for `stats()`; no decision depends on it.
local function free(id)
  redis.call("DEL", key("processing:" .. id))
  redis.call("ZREM", key("hands"), id)
end
