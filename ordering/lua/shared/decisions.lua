-- The decision about an event that was delivered.

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
    local drainer = redis.call("HGET", key("drainers"), e.leader)
    -- An elder sibling may have come since a sweep has given the queue to the caller: that goes first.
    local mine = drainer == e.token or e.given and first and drainer == e.claim
    return mine and "drain " .. drainer or "parked"
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
  -- The queue has just offered it, so it will do so again, also if the holder dies now.
  redis.call("PEXPIRE", key("tried:" .. e.id), rules.redelivery, "GT")
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
  -- Taken without regard to its leader, an event keeps its place in the queue until `wait` says that its turn has come.
  if not rules.causal and not mine then parked_behind = nil end
  local mark = forced and "!" or mine and "+"
  return "granted " .. grant(e.id, e.token, parked_behind, rules, e.attempts, e.fence, mark), true
end
