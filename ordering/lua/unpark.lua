-- Forget that an event is parked. Those that wait for it wait for a leader that is not expected any more.
-- keys: waitlist
-- args: id
-- returns: unparked
local id = ARGV[1]
forget_lost(id)
return {"unparked"}
