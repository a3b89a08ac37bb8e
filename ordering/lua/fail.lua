-- Give an event back: its handler has failed, or did not begin or was stopped, or it could not be read.
-- keys: waitlist
-- args: rules id token how delay error claim
-- returns: freed | retry attempts | dead attempts | lost
-- `how` is "failed", "exited", "stopped", or "unread". An attempt was counted when it was granted; one that was stopped is
-- taken off again, and one that failed too if the event is the queue's: that offers it again, and counts by itself. One that
-- exited has ended its process, which the queue does not know. `claim` is that of the sweep that found an event whose lease
-- was not granted.
local rules = read_rules(true)
local id, token, how, delay, message, claim = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7]

-- Asked again under the same token, it counts no second failure.
local before = answered_before(token)
if before then return before end
local function answer(reply) return answer_once(token, reply, rules.lease) end

local owner = holder(id)
if owner and owner ~= token then return {"lost"} end
-- A consumer that has found it since, because that claim had lapsed, may be able to read it.
local leader = redis.call("HGET", key("leaders"), id)
if text(claim) and not is_claimed_by(id, claim) and not is_queue_claimed_by(leader or "", id, claim) then return {"lost"} end
free(id)
publish_end_if_watched(id)
if how == "stopped" or how ~= "exited" and not is_parked(id) then uncount(id, rules.redelivery) end
if not is_parked(id) then return answer({"freed"}) end
-- It was taken without regard to its leader, and waits for that as before.
local waits = leader and how ~= "unread" and redis.call("ZSCORE", key("queue:" .. leader), id)
  and not redis.call("ZSCORE", key("releases"), leader)
if waits and how == "stopped" then return answer({"retry", 0}) end
redis.call("HDEL", key("claimants"), id)
if how == "stopped" then
  local place = redis.call("HGET", key("places"), id)
  if leader and place and not is_unread(id) and redis.call("ZSCORE", key("releases"), leader) then
    -- Given back, not failed: it returns to its place in the queue, else its siblings would overtake it.
    return_to_queue(id, leader, place)
  else
    redis.call("ZADD", key("claims"), now + delay, id)
  end
  return answer({"retry", 0})
end
if not waits then
  if leader then redis.call("ZREM", key("queue:" .. leader), id) end
  redis.call("ZREM", key("heads"), id)
  redis.call("ZADD", key("claims"), now + delay, id)
end
local attempts, fence = parse_tried(redis.call("GET", key("tried:" .. id)))
if how == "unread" then
  redis.call("HSET", key("unread"), id, 1)
  make_heads(id)
  if not owner then attempts = count_attempt(attempts) end  -- a sweep has found it, and no lease was granted
end
attempts = math.max(1, math.ceil(attempts))
if attempts < rules.attempts then
  note_attempts(id, attempts, string.format("%.0f", fence), rules.redelivery)
  return answer({"retry", attempts})
end
bury(id, rules, attempts, {reason = how == "unread" and "unreadable" or "failed", error = message}, nil, now + rules.lease)
return answer({"dead", attempts})
