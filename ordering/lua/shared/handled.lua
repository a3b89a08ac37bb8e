-- The memory of handled events, dead letters, and the completion of an event.

-- What a follower may still ask about long after its leader's mark is gone: whether it was handled. A few bytes of each
-- event's digest, in small sets that are dropped a whole period at a time.
local function memory_of(digest, period)
  return key("handled:" .. period .. ":" .. string.sub(digest, 1, 3)), string.sub(digest, 4)
end

local function remember(digest, memory)
  if memory <= 0 then return end
  local set, member = memory_of(digest, math.floor(now / memory))
  redis.call("SADD", set, member)
  redis.call("PEXPIRE", set, 2 * memory)
end

local function is_remembered(digest, memory)
  if memory <= 0 then return false end
  local period = math.floor(now / memory)
  for back = 0, 1 do
    local set, member = memory_of(digest, period - back)
    if redis.call("SISMEMBER", set, member) == 1 then return true end
  end
  return false
end

-- Give an event up: its payload is kept with the reason, its followers are released. From `report_from` on, a sweep reports the
-- dead letter to the callback, unless the caller has done that before.
local function bury(id, rules, attempts, why, payload, report_from)
  local place = redis.call("HGET", key("places"), id) or why.place or "0"
  local leader = redis.call("HGET", key("leaders"), id) or why.leader or ""
  payload = redis.call("GET", key("event:" .. id)) or payload or ""
  local letter = cjson.encode({id, leader, place, why.reason, why.error or "", attempts, now})
  redis.call("SET", key("dead:" .. id), letter .. "\n" .. payload, "PX", rules.dead)
  redis.call("ZADD", key("dead-letters"), now, id)
  redis.call("PEXPIRE", key("dead-letters"), rules.dead)
  if report_from then
    redis.call("ZADD", key("untold"), report_from, id)
    redis.call("PEXPIRE", key("untold"), rules.dead)
  end
  free(id)
  redis.call("DEL", key("tried:" .. id))
  publish_end_if_watched(id)
  forget(id)
  adopt_followers(id)
  if redis.call("ZCARD", key("queue:" .. id)) > 0 then
    redis.call("ZADD", key("releases"), now, id)
    redis.call("HDEL", key("drainers"), id)
  end
end

-- An event was given up while its last holder gave no sign of life, which has handled it after all: it is not retried.
local function withdraw(id)  -- rarely
  if redis.call("DEL", key("dead:" .. id)) == 0 then return end
  redis.call("ZREM", key("dead-letters"), id)
  redis.call("ZREM", key("untold"), id)
end

-- Give an event up that was granted as often as it may be, and never given back.
local function bury_exhausted(id, rules, attempts)  -- rarely
  bury(id, rules, attempts, {reason = "exhausted"}, nil, now)
end

-- Hand out the next follower of a leader whose queue is not empty, or was not.
local function take_next(leader, drain, token, rules)  -- rarely
  while true do
    local id = redis.call("ZRANGE", key("queue:" .. leader), 0, 0)[1]
    if not id then return nil end
    drain_by(leader, drain, rules.lease)
    local state = redis.call(
      "MGET", key("seen:" .. id), key("processing:" .. id), key("event:" .. id), key("tried:" .. id)
    )
    local attempts, last = parse_tried(state[4])
    if state[1] then
      redis.call("ZREM", key("queue:" .. leader), id)
      forget(id)
    elseif state[2] then
      -- A consumer has it by a delivery of its own: it will complete the event, or its claim expires.
      redis.call("ZREM", key("queue:" .. leader), id)
      redis.call("ZADD", key("claims"), look_again_at(id), id)
    elseif attempts >= rules.attempts then
      redis.call("ZREM", key("queue:" .. leader), id)
      bury_exhausted(id, rules, attempts)
    elseif not take_from_original(id) then
      leave(id, rules.lookback)
    else
      local payload = state[3]
      if not payload then
        -- Whose it was may be gone, too: without this, it would be handed out for ever.
        redis.call("ZREM", key("queue:" .. leader), id)
        forget_lost(id)
        return {"missing", id}
      end
      return {"granted", id, grant(id, token, leader, rules, attempts, last), payload}
    end
  end
end

-- Hand out the next follower of a leader: the earliest that has not started. The queue is the caller's by `drain`.
-- Returns {"granted", id, fence, payload} or {"missing", id} or nil if the queue is empty.
local function next_of(leader, drain, token, rules)
  return redis.call("EXISTS", key("queue:" .. leader)) == 1 and take_next(leader, drain, token, rules) or nil
end

-- Complete an event under its lease. Returns "done", "again" if this very token has completed it before, or "lost". A script
-- that completes many events collects them in `hands`, and takes them out of the key of that name at once.
local function mark_seen(id, token, digest, retention, memory, hands)
  local seen, processing = key("seen:" .. id), key("processing:" .. id)
  local tried, watched = key("tried:" .. id), key("watched:" .. id)
  local state = redis.call("MGET", seen, processing, tried, watched)
  if state[1] then return state[1] == token and "again" or "lost" end
  local owner = parse_lease(state[2])
  if owner and owner ~= token then return "lost" end
  if not owner then withdraw(id) end
  redis.call("SET", seen, token, "PX", retention)
  remember(digest, memory)
  local known = (state[2] and 1 or 0) + (state[3] and 1 or 0) + (state[4] and 1 or 0)
  -- A parked event has left its payload, or its place in the waitlist, if one of them was evicted.
  local payloads = redis.call("DEL", processing, tried, watched, key("event:" .. id)) - known
  if hands then hands[#hands + 1] = id else redis.call("ZREM", key("hands"), id) end
  if payloads > 0 or whole == 1 and is_parked(id) then forget(id) end
  if beside then adopt_followers(id) end
  if state[4] then publish_end(id) end
  return "done"
end

-- Tell the caller what was handed out, and remember it for a retry of the same request whose reply was lost.
local function hand_over(answer, left, token, leader, lease)
  if not answer then return "done " .. left end
  if answer[1] == "missing" then return {"missing", left, answer[2], leader} end
  local record = cjson.encode({"next", left, answer[2], answer[3], "", leader})
  redis.call("SET", key("handed:" .. token), record, "PX", lease)
  return {"next", left, answer[2], answer[3], answer[4], leader}
end

-- What was handed out under a token before, and whether that is over: it was given back or handled, or its lease has run out.
local function handed_before(token)  -- rarely
  local record = token ~= "" and redis.call("GET", key("handed:" .. token))
  if not record then return nil end
  local answer = cjson.decode(record)
  if holder(answer[3]) ~= token then return nil, true end
  answer[5] = redis.call("GET", key("event:" .. answer[3]))
  return answer[5] and answer or nil
end
