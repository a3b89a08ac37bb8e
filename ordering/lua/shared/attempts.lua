-- Attempts: how often an event was granted, and the grant itself.

-- `tried:<id>` says how often an event was granted and not handled: for as long as the queue may offer it again, it is
-- still to come, and its followers are not lost. An attempt counts when it is granted, since a handler that kills its
-- process reports nothing; what is given back uncounted is taken off again. Behind a bar is the last fence of the event.
local function note_attempts(id, attempts, fence, lasts)
  redis.call("SET", key("tried:" .. id), attempts .. "|" .. fence, "PX", lasts)
end

-- What `tried` says: attempts and fence, 0 if there is none.
local function parse_tried(value)
  if not value then return 0, 0 end
  local attempts, fence = string.match(value, "^([^|]+)|?(%d*)$")
  return tonumber(attempts or 0), tonumber(fence) or 0
end

-- What is granted together with others may have died of them. It counts half, once, so that it is granted alone next time.
local function count_attempt(attempts, shared)
  if shared then return math.max(attempts, 0.5) end
  return math.floor(attempts) + 1
end

-- An attempt that is given back, before its handler began or by one that was stopped, is none.
local function uncount(id, lasts)
  local value = redis.call("GET", key("tried:" .. id))
  local attempts, fence = parse_tried(value)
  if value then note_attempts(id, math.max(0, math.ceil(attempts) - 1), string.format("%.0f", fence), lasts) end
end

-- A parked event that has started waits in no queue; a claim with a deadline remembers it until it is done.
local function take_out(id, leader, claimant, lease)
  redis.call("ZREM", key("queue:" .. leader), id)
  redis.call("ZREM", key("heads"), id)
  redis.call("ZADD", key("claims"), now + lease, id)
  redis.call("HSET", key("claimants"), id, claimant)
  if beside then let_lapse() end
end

-- Grant the lease on an event that was granted `attempts` times before, under the fence `last`. `leader` is the one that it is
-- parked behind, if it is parked; `mark` is "+" if the lease comes of a claim on the event, and "!" if that was to break a
-- cycle. A script that grants many leases collects them in `rules.hands`, and writes them to `hands` at once.
local function grant(id, token, leader, rules, attempts, last, mark)
  local fence, lease = next_fence(last), rules.lease_text
  local value = token .. "|" .. fence .. "|" .. lease .. "|" .. rules.redelivery_text
  redis.call("SET", key("processing:" .. id), value, "PX", lease)
  local hands = rules.hands
  if hands then
    hands[#hands + 1], hands[#hands + 2] = rules.held_until, id
  else
    redis.call("ZADD", key("hands"), now + lease, id)
  end
  note_attempts(id, count_attempt(attempts, rules.shared), fence, rules.redelivery_text)
  if leader then take_out(id, leader, token .. (mark or ""), lease) end
  return fence
end

-- Whether an event is still expected: it is parked, a consumer holds it, or the queue may offer it again.
local function is_expected(id, redelivery)
  if is_unread(id) then return redis.call("EXISTS", key("processing:" .. id)) == 1 end
  if is_parked(id) or redis.call("EXISTS", key("processing:" .. id)) == 1 then return true end
  if beside and redis.call("ZSCORE", key("waitlist"), id) then return true end
  local left = redis.call("PTTL", key("tried:" .. id))
  if left > redelivery then redis.call("PEXPIRE", key("tried:" .. id), redelivery) end  -- the clock was set back
  return left > 0
end
