-- Mark an event as handled, release what waits for it, and hand out the next event of the closure.
-- keys: waitlist
-- args: id token leader drain next lease retention keep
-- returns: lost | done | done id fence payload leader more | missing id leader
-- `leader` and `drain` name a queue that the caller already drains, to go on with if nothing waits for this event.
local id, token, leader, drain, next_token = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local lease, retention, keep = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local seen = redis.call("GET", key("seen:" .. id))
if seen and seen ~= token then return {"lost"} end
if seen then
  -- The reply to this very completion was lost: what it handed out is still leased under the next token.
  local handed = redis.call("GET", key("handed:" .. next_token))
  if handed then
    local answer = cjson.decode(handed)
    answer[4] = redis.call("GET", key("event:" .. answer[2]))
    if answer[4] then return answer end
  end
else
  local owner = holder(id)
  if owner and owner ~= token then return {"lost"} end
  redis.call("SET", key("seen:" .. id), token, "PX", retention)
  redis.call("DEL", key("processing:" .. id))
  forget(id)
end

local answer, from = nil, nil
if next_token ~= "" then
  from = id
  answer = next_of(id, next_token, next_token, lease, keep)
  if not answer and leader ~= "" and redis.call("HGET", key("drainers"), leader) == drain then
    from = leader
    answer = next_of(leader, drain, next_token, lease, keep)
  end
end
if not answer then return {"done"} end
if answer[1] == "missing" then return {"missing", answer[2], from} end
redis.call("SET", key("handed:" .. next_token), cjson.encode({"done", answer[2], answer[3], "", from, answer[5]}), "PX", lease)
return {"done", answer[2], answer[3], answer[4], from, answer[5]}
