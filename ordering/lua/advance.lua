-- Hand out the next follower of a leader whose queue the caller drains.
-- keys: waitlist
-- args: leader drain next lease keep
-- returns: lost | done left | next left id fence payload leader | missing left id leader
local leader, drain, next_token = ARGV[1], ARGV[2], ARGV[3]
local lease, keep = tonumber(ARGV[4]), tonumber(ARGV[5])

local before = handed_before(next_token)
if before then return before end
local drainer = redis.call("HGET", key("drainers"), leader)
if drainer and drainer ~= drain then return {"lost"} end
local answer = next_of(leader, drain, next_token, lease, keep)
if not answer then end_drain(leader) end
return hand_over(answer, answer and "1" or "0", next_token, leader, lease)
