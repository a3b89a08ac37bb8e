-- Give an event up, though no handler of it has failed here: the queue has, or its handlers have killed their processes.
-- keys: waitlist
-- args: lookback lease retention memory redelivery attempts dead id leader occurred reason error payload tell
-- returns: dead attempts | seen | held
-- `tell` is "1" if somebody is to be told of the dead letter who does not know of it.
local rules = read_rules(true)
local id, leader, occurred = ARGV[8], ARGV[9], ARGV[10]
local state = redis.call("MGET", key("seen:" .. id), key("processing:" .. id), key("tried:" .. id), key("dead:" .. id))
if state[1] then return {"seen"} end
local attempts = math.ceil(tonumber(state[3] or 0))
if state[4] then return {"dead", attempts} end
if state[2] then return {"held"} end
local why = {reason = ARGV[11], error = ARGV[12], leader = leader, place = occurred}
bury(id, rules, attempts, why, ARGV[13], ARGV[14] == "1" and now + rules.lease)
return {"dead", attempts}
