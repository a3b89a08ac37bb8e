-- Throw a dead letter away: the event counts as handled from now on, so that neither a duplicate of it nor a follower waits.
-- keys: waitlist
-- args: id retention memory digest
-- returns: discarded | unknown
local id = ARGV[1]
redis.call("ZREM", key("dead-letters"), id)
redis.call("ZREM", key("untold"), id)
if redis.call("EXISTS", key("dead:" .. id)) == 0 then return {"unknown"} end
redis.call("SET", key("seen:" .. id), "discarded", "PX", ARGV[2])
remember(ARGV[4], tonumber(ARGV[3]))
redis.call("DEL", key("dead:" .. id))
return {"discarded"}
