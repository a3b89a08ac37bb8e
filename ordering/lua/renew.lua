-- Show a sign of life: prolong the lease on an event, the claims on the queues that the caller drains, and what was claimed
-- together with the event.
-- keys: waitlist
-- args: id token lease claim leaders...
-- returns: renewed | lost
local id, token, lease, claim = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
-- The lease comes first: in a store that is short of memory, a script that has written may go on to write.
local mine = renew_lease(id, token, lease)
if mine and claim ~= "" then go_through(claim, lease) end
-- A drain ends with the lease: a sweep that finds the event takes the queue over, or siblings would overtake it.
for i = 5, mine and #ARGV or 0, 2 do renew_drain(ARGV[i], ARGV[i + 1], lease) end
return {mine and "renewed" or "lost"}
