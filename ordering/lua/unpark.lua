-- Forget that an event is parked. Those that wait for it wait for a leader that is not expected any more.
-- keys: waitlist
-- args: id
-- returns: unparked
local id = ARGV[1]
forget(id)
for _, follower in ipairs(redis.call("ZRANGE", key("queue:" .. id), 0, -1)) do
  redis.call("ZADD", key("heads"), "NX", redis.call("ZSCORE", key("waitlist"), follower) or now, follower)
end
return {"unparked"}
