-- Decide about one event that was delivered: grant its lease, park it, or refuse it.
-- keys: waitlist
-- args: rules id token claim given leader occurred received digest payload mode
-- returns: granted fence drain | granted fence | seen | dead | exhausted attempts | held | parked | waiting ms | drain token
return decide(read_event(ARGV, 2), read_rules(ARGV[11] == "causal"), {})
