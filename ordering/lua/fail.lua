-- Give an event back whose handler did not succeed.
-- keys: waitlist
-- args: id token counts delay max_attempts retention lease
-- returns: freed | retry attempts | dead attempts | lost
local id, token, counts = ARGV[1], ARGV[2], ARGV[3]
local delay, max_attempts = tonumber(ARGV[4]), tonumber(ARGV[5])
local retention, lease = tonumber(ARGV[6]), tonumber(ARGV[7])

-- The reply to this request may be lost: asked again under the same token, it counts no second failure.
local told = redis.call("GET", key("failed:" .. token))
if told then return cjson.decode(told) end
local function answer(reply)
  redis.call("SET", key("failed:" .. token), cjson.encode(reply), "PX", lease)
  return reply
end

local owner = holder(id)
if owner and owner ~= token then return {"lost"} end
redis.call("DEL", key("processing:" .. id))
tell_ended(id)
if not is_parked(id) then return {"freed"} end
redis.call("HDEL", key("claimants"), id)
local leader, place = redis.call("HGET", key("leaders"), id), redis.call("HGET", key("places"), id)
if counts ~= "1" and leader and place and redis.call("ZSCORE", key("releases"), leader) then
  -- Given back, not failed: it returns to its place in the queue, else its siblings would overtake it.
  redis.call("ZREM", key("claims"), id)
  redis.call("ZADD", key("queue:" .. leader), place, id)
  return answer({"retry", 0})
end
redis.call("ZADD", key("claims"), now + delay, id)
if counts ~= "1" then return {"retry", 0} end
local attempts = redis.call("HINCRBY", key("attempts"), id, 1)
if attempts < max_attempts then return answer({"retry", attempts}) end
redis.call("SET", key("dead:" .. id), redis.call("GET", key("event:" .. id)) or "", "PX", retention)
forget(id)
if redis.call("ZCARD", key("queue:" .. id)) > 0 then
  redis.call("ZADD", key("releases"), now, id)
  redis.call("HDEL", key("drainers"), id)
end
return answer({"dead", attempts})
