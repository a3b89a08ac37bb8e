-- What all verbs share: the names of the keys, the clock, and the small steps that keep them consistent.
-- Every verb's first key names the scope by way of its waitlist, so that a cluster knows where to send it.
-- A script is sent with the steps that it calls, and Redis defines them again in each run: a step marked `rarely` contains the
-- steps that only such steps call, so that most runs do not define those.

local waitlist = KEYS[1]
-- Beside the original, in one fleet (`ordering.prefect`), our waitlist has a name of its own: "waitlist" is the original's.
local beside = string.sub(waitlist, -#"parked") == "parked"
local prefix = string.sub(waitlist, 1, beside and -#"parked" - 1 or -#"waitlist" - 1)
local function key(name) return prefix .. name end

-- All keys of a scope lie in one slot. While that moves to another node, each of the two has some of the keys, and takes
-- the others for absent: a script would decide by half of what is known, or fail half-way. Asked about two keys at once, of
-- which one never exists, both nodes refuse, before anything was read or written; where nothing moves, both answer.
local whole = redis.pcall("EXISTS", KEYS[1], key("never"))
if type(whole) == "table" and whole.err then
  -- Redis says it in one of two ways, by its version.
  if string.find(whole.err, "non local key", 1, true) or string.find(whole.err, "rehashing of the slot", 1, true) then
    return redis.error_reply("TRYAGAIN the slot of this scope is being moved")
  end
  return whole
end

-- One clock for all consumers: the server's, in milliseconds and in microseconds.
local time = redis.call("TIME")
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
-- Since when an event waits that comes now: from the next millisecond on, or it would have waited for the whole lookback
-- before that is over.
local from_now = math.ceil(now_us / 1000)

local function text(value) return value and value ~= "" end

-- Lease values are "token|fence|lease|redelivery", the last two in milliseconds, those of the holder's policy. Returns all
-- four, or nil if no consumer holds it.
local function parse_lease(value)
  if not value then return nil end
  local bar, _, fence, lease, redelivery = string.find(value, "|(%d+)|(%d+)|(%d+)$")
  if not bar then return value, "0" end
  return string.sub(value, 1, bar - 1), fence, tonumber(lease), tonumber(redelivery)
end

local function holder(id) return parse_lease(redis.call("GET", key("processing:" .. id))) end

-- The fences of an event only grow, also when Redis forgets: each is the clock, in microseconds, or one more than the last one
-- of this event, whichever is greater. The last one counts when the clock was set back; the clock counts when the last one
-- lapsed, or was lost with the last writes before a failover. So they repeat only if both happen at a time: the last one is
-- lost, and the clock of the new server is behind by more than the time that has passed since.
local function next_fence(last)
  local fence = time[1] .. string.sub("00000" .. time[2], -6)
  if last < now_us then return fence end
  return string.format("%.0f", last + 1)
end

-- For how many milliseconds an event is still held. A lease that lasts for longer than it was taken for was taken before
-- the server's clock was set back: it is shortened, and its holder, if it lives, prolongs it in time.
local function lease_left(id)  -- rarely
  local left = redis.call("PTTL", key("processing:" .. id))
  if left <= 0 then return left end
  local _, _, lease = parse_lease(redis.call("GET", key("processing:" .. id)))
  if not lease or left <= lease then return left end
  redis.call("PEXPIRE", key("processing:" .. id), lease)
  return lease
end

-- End a lease. `hands` lists the held events, for `stats()`; no decision depends on it.
local function free(id)
  redis.call("DEL", key("processing:" .. id))
  redis.call("ZREM", key("hands"), id)
end

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
  if leader then
    -- A parked event that has started waits in no queue; a claim with a deadline remembers it until it is done.
    redis.call("ZREM", key("queue:" .. leader), id)
    redis.call("ZREM", key("heads"), id)
    redis.call("ZADD", key("claims"), now + lease, id)
    redis.call("HSET", key("claimants"), id, token .. (mark or ""))
    if beside then let_lapse() end
  end
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

-- An event is parked behind the leader that it named first: a duplicate that names another does not move it. It waits from
-- now on, or since it was received, if its age goes by that.
local function park(id, leader, occurred, payload, received)
  local before = redis.call("HGET", key("leaders"), id)
  if before and waits_for_another(id, before, leader) then return end
  redis.call("SET", key("event:" .. id), payload)
  redis.call("HSET", key("leaders"), id, leader)
  redis.call("ZADD", key("queue:" .. leader), occurred, id)
  redis.call("HSET", key("places"), id, occurred)
  redis.call("ZADD", waitlist, "NX", received or from_now, id)
  if beside then share(id, leader, received or from_now) end
  redis.call("ZREM", key("claims"), id)
  redis.call("HDEL", key("claimants"), id)
  if not is_coming(leader) then
    redis.call("ZADD", key("heads"), "NX", redis.call("ZSCORE", waitlist, id), id)
  end
  limit_queue(leader)
  if beside then let_lapse() end
end

-- The place of an event among its siblings, from when it occurred as its payload says that: microseconds since 1970.
local function place_of(occurred)
  local year, month, day, hour, minute, second, fraction, zone =
    string.match(occurred, "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?(%d*)(.*)$")
  if not year then return nil end
  year, month = tonumber(year), tonumber(month)
  if month < 3 then year, month = year - 1, month + 12 end  -- a year that begins in March ends with its leap day
  local leap_days = math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  local days = 365 * year + leap_days + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
  local sign, hours, minutes = string.match(zone, "^([+-])(%d+):(%d+)$")
  local ahead = sign and tonumber(sign .. hours * 3600 + minutes * 60) or 0
  local seconds = days * 86400 + hour * 3600 + minute * 60 + second - ahead
  return string.format("%.0f", seconds * 1000000 + string.sub(fraction .. "000000", 1, 6))
end

-- Park an event with us that the original has parked, unless it has taken it since.
local function adopt(id)
  local since = redis.call("ZSCORE", key("waitlist"), id)
  if not since or is_parked(id) or redis.call("EXISTS", key("seen:" .. id)) == 1 then return end
  local payload = redis.call("GET", key("event:" .. id))
  local read, event = pcall(cjson.decode, payload or "")
  if not (read and type(event) == "table" and type(event.follows) == "string") then return end
  local place = type(event.occurred) == "string" and place_of(event.occurred)
  if place then park(id, event.follows, place, payload, math.floor(since * 1000)) end
end

-- Release what the original has parked behind a leader that is done, with our own: the empty set says so to it.
local function adopt_followers(leader)  -- rarely
  if not beside then return end
  for _, id in ipairs(redis.call("SORT", key("followers:" .. leader), "ALPHA")) do adopt(id) end
  redis.call("DEL", key("followers:" .. leader))
end

-- A drain is the claim on a leader's queue. It lasts until the last that it handed out is done, so that a sibling which
-- arrives meanwhile waits behind those that came before it, however long their start takes to reach their handler.
local function drain_by(leader, token, lease)
  redis.call("ZADD", key("releases"), now + lease, leader)
  redis.call("HSET", key("drainers"), leader, token)
end

local function end_drain(leader)
  redis.call("ZREM", key("releases"), leader)
  redis.call("HDEL", key("drainers"), leader)
end

-- A drain whose record is gone, as by eviction, belongs to no other consumer.
local function is_drained_by(leader, token)
  if leader == "" then return false end
  local drainer = redis.call("HGET", key("drainers"), leader)
  return not drainer or drainer == token
end

-- Whether no consumer has begun with an event since a sweep has claimed it. "!" marks the claim that is to break a cycle.
local function is_claimed_by(id, token)  -- rarely
  local claimant = redis.call("HGET", key("claimants"), id)
  return claimant == token or claimant == token .. "!"
end

-- The same of a queue that a sweep has claimed, by its first event.
local function is_queue_claimed_by(leader, first, token)
  return is_live("releases", leader) and redis.call("HGET", key("drainers"), leader) == token
    and redis.call("ZSCORE", key("queue:" .. leader), first)
end

-- A consumer that begins with an event that a sweep has claimed, or works on one, goes through the sweep's list. From now on
-- the list is shared, and stays claimed until a lease after the last renewal. It is prolonged at most twice in a lease.
local function go_through(token, lease)  -- rarely
  local record = key("sweep:" .. token)
  local left = redis.call("PTTL", record)
  if left < 0 then return end
  if redis.call("ZADD", key("sweeps"), "NX", now, token) == 1 then redis.call("PEXPIRE", key("sweeps"), lease) end
  if left > lease / 2 then return end
  for _, line in ipairs(redis.call("LRANGE", record, 0, -1)) do
    local item = cjson.decode(line)
    if item[3] == "released" then
      if is_queue_claimed_by(item[2], item[1], token) then drain_by(item[2], token, lease) end
    elseif is_claimed_by(item[1], token) then
      redis.call("ZADD", key("claims"), now + lease, item[1])
    end
  end
  redis.call("PEXPIRE", record, lease)
  redis.call("PEXPIRE", key("sweeps"), lease)
end

-- Prolong the lease on an event, and what was claimed with it. Returns whether it is still the caller's.
local function renew_lease(id, token, lease)
  local owner, _, _, redelivery = parse_lease(redis.call("GET", key("processing:" .. id)))
  if owner ~= token then return false end
  redis.call("PEXPIRE", key("processing:" .. id), lease)
  redis.call("PEXPIRE", key("tried:" .. id), redelivery or 2 * lease)
  redis.call("ZADD", key("hands"), "XX", now + lease, id)
  keep_from_original(id)
  redis.call("ZADD", key("claims"), "XX", now + lease, id)
  return true
end

-- Prolong the claims on queues that the caller drains: words `first` to `last` of the request are a leader and a claim, each.
local function renew_drains(first, last, lease)
  for i = first, last, 2 do
    if redis.call("HGET", key("drainers"), ARGV[i]) == ARGV[i + 1] then
      redis.call("ZADD", key("releases"), "XX", now + lease, ARGV[i])
    end
  end
end

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

local function handed_before(token)  -- rarely
  local record = token ~= "" and redis.call("GET", key("handed:" .. token))
  if not record then return nil end
  local answer = cjson.decode(record)
  if holder(answer[3]) ~= token then return nil end  -- so late that the lease is over: a sweep finds the event
  answer[5] = redis.call("GET", key("event:" .. answer[3]))
  return answer[5] and answer or nil
end

-- An event as a request names it, from some word on: id, token, claim, given, leader, occurred, received, digest of the
-- leader, payload; all text. The claim is one on the event itself if it was `given` to the caller, else on its leader's queue.
-- The last event of a request may end with its token or with `given`, if it follows nothing.
local function read_event(words, first)
  return {
    id = words[first], token = words[first + 1], claim = words[first + 2], given = words[first + 3] == "1",
    leader = words[first + 4], occurred = words[first + 5], received = tonumber(words[first + 6]),
    digest = words[first + 7], payload = words[first + 8],
  }
end

-- Who has claimed an event. If it was given to the caller, and another sweep has found it since, because the claim on it had
-- lapsed, then the caller goes through that sweep's list: as he would if he swept now.
local function claimant_of(e)  -- rarely
  local claimant = redis.call("HGET", key("claimants"), e.id)
  if e.given and claimant and redis.call("EXISTS", key("sweep:" .. claimant)) == 1 then e.claim = claimant end
  return claimant
end

-- The policy's numbers with which a request begins, as one word, in milliseconds but for the attempts: lookback, lease,
-- retention, memory, redelivery, attempts, dead. Whether what is granted is granted together with others is `shared`.
-- Values that are only passed on to Redis stay text: a number would be formatted again for each command.
local rules_read
local function read_rules(causal, shared)
  if rules_read and rules_read.causal == causal and rules_read.shared == shared then return rules_read end
  local lookback, lease, retention, memory, redelivery, attempts, dead =
    string.match(ARGV[1], "^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$")
  rules_read = {
    lookback = tonumber(lookback), lease = tonumber(lease), lease_text = lease, retention = retention,
    memory = tonumber(memory), redelivery = tonumber(redelivery), redelivery_text = redelivery,
    attempts = tonumber(attempts), dead = dead, causal = causal, shared = shared,
  }
  return rules_read
end

-- Whether a follower may be granted together with its leader: if no earlier follower still waits.
local function goes_along(leader, together)
  return together[leader] and redis.call("EXISTS", key("queue:" .. leader)) == 0
end

-- The event that a drainer had in hand returns to its place among its siblings; otherwise those would overtake it.
local function return_to_queue(id, leader, place)
  redis.call("ZREM", key("claims"), id)
  redis.call("HDEL", key("claimants"), id)
  redis.call("ZADD", key("queue:" .. leader), place, id)
  limit_queue(leader)
end

-- Before a queue is taken over whose drainer gave no sign of life: have him return what he had in hand. Returns whether he
-- has it still, as his lease on it lasts until the end of the millisecond.
local function return_from_hands(leader)
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", key("claims"), "-inf", now, "LIMIT", 0, 100)) do
    if redis.call("HGET", key("leaders"), id) == leader then
      if redis.call("EXISTS", key("processing:" .. id)) == 1 then return true end
      local place = redis.call("HGET", key("places"), id)
      if place and not is_unread(id) then return_to_queue(id, leader, place) end
    end
  end
  return false
end

-- Decide about an event whose leader was handled, and has a queue.
local function behind_siblings(e, rules, parked_behind, deadline)  -- rarely
  local draining = tonumber(deadline) > now or return_from_hands(e.leader)
  local first = redis.call("ZRANGE", key("queue:" .. e.leader), 0, 0)[1]
  if not first and not draining then return nil end
  if first == e.id and (not draining or is_drained_by(e.leader, e.claim)) then
    local drain = draining and e.claim or e.token
    drain_by(e.leader, drain, rules.lease)
    return "granted " .. grant(e.id, e.token, parked_behind, rules, e.attempts, e.fence) .. " " .. drain, true
  end
  park(e.id, e.leader, e.occurred, e.payload, e.received)
  if draining then
    if redis.call("HGET", key("drainers"), e.leader) == e.token then return "drain " .. e.token end
    return "parked"
  end
  drain_by(e.leader, e.token, rules.lease)
  return "drain " .. e.token
end

-- Decide about an event whose leader was handled: earlier siblings that have not started go first. Every leader that is
-- done and has a queue is among the releases, so most events ask no more than that.
local function after_leader(e, rules, parked_behind)
  local deadline = redis.call("ZSCORE", key("releases"), e.leader)
  if deadline then return behind_siblings(e, rules, parked_behind, deadline) end
end

-- Whether an event has waited long enough for a leader that may not come. Whose claim it is, has waited.
local function is_overdue(e, rules, mine)
  local since = e.received or tonumber(redis.call("ZSCORE", waitlist, e.id) or now)
  return mine or now - since >= rules.lookback
end

-- Park an event whose leader was not handled. Returns for how long the leader is held, if it is.
local function park_before_leader(e, rules)
  park(e.id, e.leader, e.occurred, e.payload, e.received)
  local left = lease_left(e.leader)
  return left > 0 and left or nil
end

-- Decide about an event whose leader was not handled: it waits, unless it has waited for the lookback and the leader is not
-- expected any more.
local function before_leader(e, rules, mine)  -- rarely
  local overdue = is_overdue(e, rules, mine)
  if overdue and not is_expected(e.leader, rules.redelivery) then return nil end
  local left = park_before_leader(e, rules)
  return left and "waiting " .. left or "parked"
end

-- Decide about an event that is held: by the caller, whose reply was lost, or by another consumer.
local function decide_held(e, owner, fence, follows, rules)  -- rarely
  if owner == e.token then
    -- Asked again: the reply was lost, and with it whose queue came along.
    redis.call("PEXPIRE", key("processing:" .. e.id), rules.lease)
    local drainer = follows and redis.call("HGET", key("drainers"), e.leader)
    if drainer and (drainer == e.token or drainer == e.claim) then return "granted " .. fence .. " " .. drainer, true end
    return "granted " .. fence, true
  end
  -- Several consumers may go through a sweep's list: each event is left to the first that asks for it.
  if owner and text(e.claim) and is_parked(e.id) then return "parked" end
  lease_left(e.id)
  return "held"
end

-- Decide whether a parked event is the caller's. Returns the answer if it is not; else nil, whether the caller has a claim on
-- it, and whether that is to break a cycle.
local function decide_parked(e, rules)  -- rarely
  -- The consumer with a claim on the event will handle it; others may rely on that.
  local claimant = claimant_of(e)
  local forced = claimant == e.claim .. "!"
  local mine = text(e.claim) and (claimant == e.claim or forced)
  if text(e.claim) then go_through(e.claim, rules.lease) end
  if is_live("claims", e.id) and not mine then return "parked" end
  if not mine and is_parked(e.id) and not take_from_original(e.id) then
    leave(e.id, rules.lookback)
    return "parked"
  end
  return nil, mine, forced
end

-- Decide about one event `e` that was delivered: grant its lease, park it, or refuse it. `rules` are the policy's numbers;
-- `together` names the events whose leases were granted in the same request: their holder handles them in order.
-- Returns the answer as one text, its words with spaces between them, and whether the event was granted.
local function decide(e, rules, together)
  local state
  local follows = text(e.leader)
  if follows then
    local leader = e.leader
    state = redis.call(
      "MGET", key("seen:" .. e.id), key("processing:" .. e.id), key("tried:" .. e.id), key("dead:" .. e.id),
      key("seen:" .. leader), key("dead:" .. leader)
    )
  else
    state = redis.call(
      "MGET", key("seen:" .. e.id), key("processing:" .. e.id), key("tried:" .. e.id), key("dead:" .. e.id)
    )
  end
  if state[1] then
    forget_if_parked(e.id)
    return "seen"
  end
  if state[4] then return "dead" end
  local owner, fence = parse_lease(state[2])
  if owner then return decide_held(e, owner, fence, follows, rules) end
  e.attempts, e.fence = parse_tried(state[3])
  if e.attempts >= rules.attempts then return "exhausted " .. e.attempts end
  if rules.shared and e.attempts > 0 then return "alone" end
  if not follows then return "granted " .. grant(e.id, e.token, nil, rules, e.attempts, e.fence), true end

  local parked_behind = redis.call("HGET", key("leaders"), e.id)
  if parked_behind and parked_behind ~= e.leader then
    if waits_for_another(e.id, parked_behind, e.leader) then return "parked" end
    parked_behind = nil
  end
  local mine, forced = false, false
  if parked_behind then
    local answer
    answer, mine, forced = decide_parked(e, rules)
    if answer then return answer end
  end
  local answer, granted
  if rules.causal and not forced and not goes_along(e.leader, together) then
    if state[5] or state[6] or is_remembered(e.digest, rules.memory) then
      if not mine then answer, granted = after_leader(e, rules, parked_behind) end
    else
      answer = before_leader(e, rules, mine)
    end
  end
  if answer then return answer, granted end
  local mark = forced and "!" or mine and "+"
  return "granted " .. grant(e.id, e.token, parked_behind, rules, e.attempts, e.fence, mark), true
end
