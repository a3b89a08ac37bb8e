-- Show a sign of life: prolong the lease on an event, the claims on the queues that the caller drains, and what was claimed
-- together with the event.
-- keys: waitlist
-- args: id token lease claim leaders...
-- returns: renewed | lost
local id, token, lease, claim = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
-- The lease comes first: in a store that is short of memory, a script that has written may go on to write.
local owner, _, _, redelivery = parse_lease(redis.call("GET", key("processing:" .. id)))
local mine = owner == token
if mine then
  redis.call("PEXPIRE", key("processing:" .. id), lease)
  redis.call("PEXPIRE", key("tried:" .. id), redelivery or 2 * lease)
  redis.call("ZADD", key("hands"), "XX", now + lease, id)
  keep_from_original(id)
  redis.call("ZADD", key("claims"), "XX", now + lease, id)
  if claim ~= "" then go_through(claim, lease) end
end
for i = 5, #ARGV, 2 do
  if redis.call("HGET", key("drainers"), ARGV[i]) == ARGV[i + 1] then
    redis.call("ZADD", key("releases"), "XX", now + lease, ARGV[i])
  end
end
return {mine and "renewed" or "lost"}
