-- Leave queues to the next sweep, unless another consumer has taken them over meanwhile.
-- keys: waitlist
-- args: queues...
-- returns: released
-- Each of the `queues` is two words: a leader, and the token of the claim on its queue.
for i = 1, #ARGV, 2 do
  if is_drained_by(ARGV[i], ARGV[i + 1]) then redis.call("ZADD", key("releases"), "XX", now, ARGV[i]) end
end
return {"released"}
