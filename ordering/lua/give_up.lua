-- Give an event up, though no handler of it has failed here: the queue has, or its handlers have killed their processes.
-- keys: waitlist
-- args: rules id leader occurred reason error payload report
-- returns: dead attempts | seen | held
-- `report` is "1" if the callback for dead letters is to be called: of an event that was granted as often as it may be. If that is
-- not so any more, it is not given up.
local rules = read_rules(true)
local id, leader, occurred = ARGV[2], ARGV[3], ARGV[4]
local state = redis.call("MGET", key("seen:" .. id), key("processing:" .. id), key("tried:" .. id), key("dead:" .. id))
if state[1] then return {"seen"} end
local attempts = math.ceil((parse_tried(state[3])))
if state[4] then return {"dead", attempts} end
if state[2] or ARGV[8] == "1" and attempts < rules.attempts then return {"held"} end
local why = {reason = ARGV[5], error = ARGV[6], leader = leader, place = occurred}
bury(id, rules, attempts, why, ARGV[7], ARGV[8] == "1" and now + rules.lease)
return {"dead", attempts}
