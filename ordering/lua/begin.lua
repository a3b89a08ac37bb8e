-- Decide about one event that was delivered: grant its lease, park it, or refuse it.
-- keys: waitlist
-- args: id token claim leader occurred payload received digest lookback lease keep memory mode
-- returns: granted fence drain | granted fence | seen | held | parked | waiting ms | drain token
local event = {
  id = ARGV[1], token = ARGV[2], claim = ARGV[3], leader = ARGV[4], occurred = ARGV[5], payload = ARGV[6],
  received = tonumber(ARGV[7]), digest = ARGV[8],
}
local rules = {
  lookback = tonumber(ARGV[9]), lease = tonumber(ARGV[10]), keep = tonumber(ARGV[11]), memory = tonumber(ARGV[12]),
  causal = ARGV[13] == "causal",
}
return decide(event, rules, {})
