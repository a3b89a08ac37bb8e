-- Park an event, whatever the state of its leader.
-- keys: waitlist
-- args: id leader occurred payload received
-- returns: parked
park(ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]))
return {"parked"}
