-- Hand out the next follower of a leader whose queue the caller drains.
-- keys: waitlist
-- args: rules leader drain next
-- returns: lost | done left | next left id fence payload leader | missing left id leader
local rules = read_rules(true)
local leader, drain, next_token = ARGV[2], ARGV[3], ARGV[4]

local before, is_over = handed_before(next_token)
if before then return before end
if is_over then return "done 1" end
local drainer = redis.call("HGET", key("drainers"), leader)
if drainer and drainer ~= drain then return {"lost"} end
if not is_live("releases", leader) then return_from_hands(leader) end
local answer = next_of(leader, drain, next_token, rules)
if not answer then end_drain(leader) end
return hand_over(answer, answer and "1" or "0", next_token, leader, rules.lease)
