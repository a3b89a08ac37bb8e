-- What was evicted about parked events is rebuilt from the keys that are left.

-- Rebuild the keys about an event that waits from its payload. One whose payload names no leader that can be read here is due
-- for a sweep: the consumer that is offered it can read it. Returns false if the payload is gone, too.
local function mend(id)
  local payload = redis.call("GET", key("event:" .. id))
  if not payload then return false end
  redis.call("ZADD", waitlist, "NX", redis.call("ZSCORE", key("heads"), id) or from_now, id)
  local read, event = pcall(cjson.decode, payload)
  if not (read and type(event) == "table" and type(event.follows) == "string") then
    redis.call("ZADD", key("claims"), "NX", now, id)
    return true
  end
  redis.call("HSETNX", key("leaders"), id, event.follows)
  local place = redis.call("HGET", key("places"), id)
  if not place then
    place = type(event.occurred) == "string" and place_of(event.occurred)
    if not place then return true end
    redis.call("HSET", key("places"), id, place)
  end
  if not (redis.call("ZSCORE", key("claims"), id) or redis.call("EXISTS", key("processing:" .. id)) == 1) then
    local leader = redis.call("HGET", key("leaders"), id)
    redis.call("ZADD", key("queue:" .. leader), "NX", place, id)
    limit_queue(leader)
  end
  return true
end
