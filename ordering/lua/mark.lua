-- Record that an event was handled, by any consumer. The events that wait for it are due for the next sweep.
-- keys: waitlist
-- args: id retention memory digest
-- returns: marked
local id = ARGV[1]
redis.call("SET", key("seen:" .. id), "1", "PX", ARGV[2])
remember(ARGV[4], tonumber(ARGV[3]))
redis.call("DEL", key("tried:" .. id))
withdraw(id)
publish_end_if_watched(id)
adopt_followers(id)
if redis.call("EXISTS", key("queue:" .. id)) == 1 then redis.call("ZADD", key("releases"), "NX", now, id) end
return {"marked"}
