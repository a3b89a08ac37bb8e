-- Decide about one event that was delivered: grant its lease, park it, or refuse it.
-- keys: waitlist
-- args: event payload rules mode
-- returns: granted fence drain | granted fence | seen | held | parked | waiting ms | drain token
-- `event` and `rules` are JSON arrays, see `read_event` and `read_rules`; a client packs few long words faster than many.
local event = read_event(cjson.decode(ARGV[1]), ARGV[2])
return decide(event, read_rules(ARGV[3], ARGV[4] == "causal"), {})
