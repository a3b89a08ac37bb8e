-- Throw a dead letter away: the event counts as handled from now on, so that neither a duplicate of it nor a follower waits.
-- keys: waitlist
-- args: id token retention memory lease digest
-- returns: discarded | unknown
local id, token = ARGV[1], ARGV[2]
local before = answered_before(token)
if before then return before end
redis.call("ZREM", key("dead-letters"), id)
redis.call("ZREM", key("untold"), id)
if redis.call("EXISTS", key("dead:" .. id)) == 0 then return {"unknown"} end
redis.call("SET", key("seen:" .. id), "discarded", "PX", ARGV[3])
remember(ARGV[6], tonumber(ARGV[4]))
redis.call("DEL", key("dead:" .. id))
return answer_once(token, {"discarded"}, ARGV[5])
