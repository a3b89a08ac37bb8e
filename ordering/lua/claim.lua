-- Claim everything that waits for an event that was handled.
-- keys: waitlist
-- args: leader token lease
-- returns: {id}...
local leader, token, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ids = redis.call("ZRANGE", key("queue:" .. leader), 0, -1)
for _, id in ipairs(ids) do
  redis.call("ZREM", key("heads"), id)
  redis.call("ZADD", key("claims"), now + lease, id)
  redis.call("HSET", key("claimants"), id, token)
end
redis.call("DEL", key("queue:" .. leader))
-- A sibling that arrives before these are done waits until the last of them is completed, or for the end of the claim.
if #ids > 0 then drain_by(leader, token, lease) end
return ids
