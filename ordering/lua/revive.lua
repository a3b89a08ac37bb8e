-- Offer an event again that was given up: to the next sweep, as one whose rest after a failure is over.
-- keys: waitlist
-- args: id token lease
-- returns: revived | unknown
local id, token = ARGV[1], ARGV[2]
local before = answered_before(token)
if before then return before end
local letter = redis.call("GET", key("dead:" .. id))
local line = letter and string.find(letter, "\n", 1, true)
redis.call("ZREM", key("dead-letters"), id)
redis.call("ZREM", key("untold"), id)
if not line then return {"unknown"} end
local about = cjson.decode(string.sub(letter, 1, line - 1))
local leader, place = about[2], about[3]
redis.call("SET", key("event:" .. id), string.sub(letter, line + 1))
if leader ~= "" then redis.call("HSET", key("leaders"), id, leader) end
redis.call("HSET", key("places"), id, place)
redis.call("ZADD", waitlist, "NX", from_now, id)
redis.call("ZADD", key("claims"), now, id)
redis.call("DEL", key("dead:" .. id), key("tried:" .. id))
return answer_once(token, {"revived"}, ARGV[3])
