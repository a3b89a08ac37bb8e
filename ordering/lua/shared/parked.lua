-- Parked events: whether an event is one, how it is taken beside the original, and how it is forgotten.

local function is_parked(id) return redis.call("ZSCORE", waitlist, id) end

-- Whether an event is parked that a consumer could not read. It is offered to others, but its followers do not rely on it.
local function is_unread(id) return redis.call("HEXISTS", key("unread"), id) == 1 end

-- Whether an event is parked, and its followers wait for it.
local function is_coming(id) return is_parked(id) and not is_unread(id) end

local function is_live(set, id)
  local deadline = redis.call("ZSCORE", key(set), id)
  return deadline and tonumber(deadline) > now
end

-- Publish the end of an event's handling, with or without success. Without the right to publish, waiting consumers poll.
local function publish_end(id) redis.pcall("PUBLISH", key("ended:" .. id), "1") end

local function publish_end_if_watched(id)
  if redis.call("DEL", key("watched:" .. id)) == 1 then publish_end(id) end
end

-- Beside the original, what we park is parked for both engines. Completing a leader takes its followers out of
-- `followers:`, and a sweep takes what is overdue out of the original's waitlist: whichever engine does so has the event.
local function share(id, leader, since)
  if redis.call("EXISTS", key("seen:" .. leader), key("dead:" .. leader)) == 0 then
    redis.call("SADD", key("followers:" .. leader), id)
  end
  redis.call("ZADD", key("waitlist"), "NX", string.format("%.3f", since / 1000), id)
end

-- Our own keys about what is parked lapse beside the original, if no consumer of ours parks or sweeps for a day: what a
-- fleet has gone back from us with is parked for the original, too.
local DAY = 24 * 60 * 60 * 1000
local function let_lapse()
  for _, name in ipairs({"heads", "leaders", "places", "claims", "claimants", "releases", "drainers", "unread"}) do
    redis.call("PEXPIRE", key(name), DAY)
  end
  redis.call("PEXPIRE", waitlist, DAY)
end

-- Keep an event that is ours now from the original's sweeps, for a lookback.
local function keep_from_original(id)
  if beside then redis.call("ZADD", key("waitlist"), "XX", string.format("%.3f", now / 1000), id) end
end

-- Take a parked event for this engine. Returns whether that was possible: the original's sweep may have been first.
local function take_from_original(id)
  if not beside then return true end
  if not redis.call("ZSCORE", key("waitlist"), id) then return false end
  keep_from_original(id)
  return true
end

-- Leave an event that the original has taken to it, for a lookback: it may have died with it.
local function leave(id, lookback)  -- rarely
  local leader = redis.call("HGET", key("leaders"), id)
  if leader then redis.call("ZREM", key("queue:" .. leader), id) end
  redis.call("ZREM", key("heads"), id)
  redis.call("ZADD", key("claims"), now + lookback, id)
  redis.call("HDEL", key("claimants"), id)
  let_lapse()
end

-- When to look again at an event that is held. The original frees its locks without a message, and may be about to.
local function look_again_at(id)  -- rarely
  local value = redis.call("GET", key("processing:" .. id))
  local original = beside and value and not string.find(value, "|", 1, true)
  return now + (original and 100 or lease_left(id))
end

-- Forget everything about a parked event but its mark.
local function forget(id)  -- rarely
  local leader = redis.call("HGET", key("leaders"), id)
  if leader then redis.call("ZREM", key("queue:" .. leader), id) end
  if beside then
    redis.call("ZREM", key("waitlist"), id)
    if leader then redis.call("SREM", key("followers:" .. leader), id) end
  end
  redis.call("DEL", key("event:" .. id))
  redis.call("ZREM", waitlist, id)
  redis.call("ZREM", key("heads"), id)
  redis.call("ZREM", key("claims"), id)
  redis.call("HDEL", key("leaders"), id)
  redis.call("HDEL", key("places"), id)
  redis.call("HDEL", key("claimants"), id)
  redis.call("HDEL", key("unread"), id)
end

-- If the other keys about its events are evicted, no script finds a queue whose leader never comes: it lapses. What lapses
-- too early, if no consumer sweeps for as long, a sweep rebuilds as it does what was evicted.
local function limit_queue(leader) redis.call("PEXPIRE", key("queue:" .. leader), beside and DAY or 7 * DAY) end

-- Whether an event that is parked behind `before` stays there, and not behind this leader: what was said first counts,
-- unless Redis has lost its payload since.
local function waits_for_another(id, before, leader)  -- rarely
  if before == leader or not is_parked(id) then return false end
  if redis.call("EXISTS", key("event:" .. id)) == 1 then return true end
  forget(id)
  return false
end

-- What was never parked has left nothing to forget.
local function forget_if_parked(id)  -- rarely
  if is_parked(id) then forget(id) end
end

-- Let those that wait for an event that is not expected any more be looked at by the sweep.
local function make_heads(id)
  for _, follower in ipairs(redis.call("ZRANGE", key("queue:" .. id), 0, -1)) do
    redis.call("ZADD", key("heads"), "NX", redis.call("ZSCORE", waitlist, follower) or from_now, follower)
  end
end

-- Forget a parked event that can never be handled; those that wait for it go on as if it had not come.
local function forget_lost(id)
  forget(id)
  make_heads(id)
end
