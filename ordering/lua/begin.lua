-- Decide about one event that was delivered: grant its lease, park it, or refuse it.
-- keys: waitlist
-- args: lookback lease retention memory redelivery attempts dead id token claim given leader occurred received digest payload mode
-- returns: granted fence drain | granted fence | seen | dead | exhausted attempts | held | parked | waiting ms | drain token
return decide(read_event(ARGV, 8), read_rules(ARGV[17] == "causal"), {})
