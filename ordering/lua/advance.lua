-- Hand out the next follower of a leader whose queue the caller drains.
-- keys: waitlist
-- args: leader drain next lease keep
-- returns: lost | done | done id fence payload leader more | missing id leader
local leader, drain, next_token = ARGV[1], ARGV[2], ARGV[3]
local lease, keep = tonumber(ARGV[4]), tonumber(ARGV[5])

local handed = redis.call("GET", key("handed:" .. next_token))
if handed then
  local answer = cjson.decode(handed)
  answer[4] = redis.call("GET", key("event:" .. answer[2]))
  if answer[4] then return answer end
end
local drainer = redis.call("HGET", key("drainers"), leader)
if drainer and drainer ~= drain then return {"lost"} end
local answer = next_of(leader, drain, next_token, lease, keep)
if not answer then return {"done"} end
if answer[1] == "missing" then return {"missing", answer[2], leader} end
redis.call("SET", key("handed:" .. next_token), cjson.encode({"done", answer[2], answer[3], "", leader, answer[5]}), "PX", lease)
return {"done", answer[2], answer[3], answer[4], leader, answer[5]}
