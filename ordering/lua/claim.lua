-- Claim what waits for an event that was handled, unless another consumer goes through that queue. An event that a consumer
-- holds has not begun: it asks next whether its turn has come. So it stays in the queue, and all that come after it.
-- keys: waitlist
-- args: leader token lease drain
-- returns: {id}...
-- `drain` is the token under which the caller has the queue, if it has.
local leader, token, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
-- The reply was lost: what no consumer has begun since is still the caller's.
local answered = answered_before(token)
if answered then
  local left = {}
  for _, id in ipairs(answered) do
    if is_claimed_by(id, token) then left[#left + 1] = id end
  end
  return left
end

if is_live("releases", leader) and not is_drained_by(leader, ARGV[4]) then return {} end
local ids = {}
for _, id in ipairs(redis.call("ZRANGE", key("queue:" .. leader), 0, -1)) do
  if redis.call("EXISTS", key("processing:" .. id)) == 1 then break end
  ids[#ids + 1] = id
  redis.call("ZREM", key("queue:" .. leader), id)
  redis.call("ZREM", key("heads"), id)
  redis.call("ZADD", key("claims"), now + lease, id)
  redis.call("HSET", key("claimants"), id, token)
end
-- A sibling that arrives before these are done waits until the last of them is completed, or for the end of the claim.
if #ids > 0 then
  drain_by(leader, token, lease)
  answer_once(token, ids, lease)
elseif redis.call("EXISTS", key("queue:" .. leader)) == 1 then
  redis.call("ZADD", key("releases"), now, leader)
else
  end_drain(leader)
end
return ids
