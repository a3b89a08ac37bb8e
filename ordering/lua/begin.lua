-- Decide about one event that was delivered: grant its lease, park it, or refuse it.
-- keys: waitlist
-- args: rules mode event...
-- returns: granted fence drain | granted fence | seen | dead | exhausted attempts | held | parked | waiting ms | drain token
-- The words are one text: Redis takes as long for a list of two as for a key.
return (decide(read_event(ARGV, 3), read_rules(ARGV[2] == "causal"), {}))
