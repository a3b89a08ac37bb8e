-- Claim overdue events: queues whose drainer is gone, events whose holder is gone, followers of missing leaders. And share the
-- claims of earlier sweeps: several consumers go through one list, however long each event takes.
-- keys: waitlist
-- args: rules token batch chains delay unreadable...
-- returns: {id, payload, leader, why, claim}...
-- `claim` is the token of the sweep that has claimed it. The same token asking again gets what it has claimed again.
-- The `unreadable` are events that the caller could not read a while ago: they are left to others, for half a lease from
-- when they may be claimed.
local rules = read_rules(true)
local lookback, lease = rules.lookback, rules.lease
local token, batch, chains, delay = ARGV[2], tonumber(ARGV[3]), ARGV[4] == "1", tonumber(ARGV[5])
local found, size = {}, 0

local unreadable = {}
for i = 6, #ARGV do unreadable[ARGV[i]] = true end
local function is_left_to_others(id)
  return unreadable[id] and tonumber(redis.call("ZSCORE", key("claims"), id) or now) > now - lease / 2
end

-- So many claims may have lapsed that the caller does not take.
local window = batch + #ARGV - 5

-- What a sweep returns is bounded by its size, too: after that many bytes, it takes no more.
local MOST_BYTES = 16 * 1024 * 1024
local function answer(id, leader, why)
  local payload = redis.call("GET", key("event:" .. id))
  size = size + string.len(payload or "")
  if size > MOST_BYTES then batch = math.min(batch, #found + 1) end
  table.insert(found, {id, payload or "", leader or "", why, token})
end

local record = key("sweep:" .. token)
if redis.call("EXISTS", record) == 1 then
  for _, line in ipairs(redis.call("LRANGE", record, 0, -1)) do
    local item = cjson.decode(line)
    if is_parked(item[1]) then answer(item[1], item[2], item[3]) end
  end
  return found
end

local function keep(id, leader, why)
  if redis.call("EXISTS", key("event:" .. id)) == 0 then
    if leader then redis.call("ZREM", key("queue:" .. leader), id) end
    forget_lost(id)
    table.insert(found, {id, "", leader or "", "missing", token})
    return
  end
  redis.call("RPUSH", record, cjson.encode({id, leader or "", why}))
  answer(id, leader, why)
end

local function claim(id, mark)
  local leader = redis.call("HGET", key("leaders"), id)
  if leader then redis.call("ZREM", key("queue:" .. leader), id) end
  redis.call("ZREM", key("heads"), id)
  redis.call("ZADD", key("claims"), now + lease, id)
  redis.call("HSET", key("claimants"), id, token .. mark)
  return leader
end

-- An event that follows a cycle without being on it waits for it, as for any leader that is still expected.
-- A cycle is broken in one place: while a consumer has one of its members, the others wait for that.
local function is_on_cycle(start, untouched)
  local visited, id = {}, start
  repeat
    visited[id] = true
    id = is_parked(id) and redis.call("HGET", key("leaders"), id)
    if id and untouched and redis.call("ZSCORE", key("claims"), id) then return false end
  until not id or visited[id]
  return id == start
end

-- 0. What was evicted is rebuilt from the keys that are left; the next sweep decides.
local function is_left(id) return is_parked(id) or mend(id) end

-- Every entry of a hash has its member in a sorted set. If there are more entries, the set was evicted: it is rebuilt from
-- them, some in each sweep, and what no key is left of is removed.
local function look_through(hash, set, is_rebuilt, remove)
  if redis.call("HLEN", key(hash)) <= redis.call("ZCARD", set) then return end
  local cursor = key("mending:" .. hash)
  local page = redis.call("HSCAN", key(hash), redis.call("GET", cursor) or "0", "COUNT", batch)
  redis.call("SET", cursor, page[1], "PX", 2 * lookback)
  for i = 1, #page[2], 2 do
    local name = page[2][i]
    if redis.call("ZSCORE", set, name) then  -- it is there
    elseif is_rebuilt(name) then redis.call("ZADD", set, "NX", now + lease, name)
    else remove(name) end
  end
end

for _, hash in ipairs({"places", "leaders", "unread"}) do look_through(hash, waitlist, mend, forget_lost) end
look_through("claimants", key("claims"), is_left, function(id) redis.call("HDEL", key("claimants"), id) end)
look_through("drainers", key("releases"), function(leader)
  return redis.call("EXISTS", key("queue:" .. leader)) == 1
end, end_drain)

-- Deadlines that are further ahead than any script sets them, and beginnings in the future, are of the time before
-- the server's clock was set back: they are set to what they would be if they were written now, some in each sweep.
local function pull_back(set, most, to)
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", key(set), "(" .. most, "+inf", "LIMIT", 0, batch)) do
    redis.call("ZADD", key(set), to, id)
  end
end

pull_back("claims", now + math.max(lease, delay), now + lease)
pull_back("releases", now + lease, now + lease)
pull_back("waitlist", from_now, from_now)
pull_back("heads", from_now, from_now)
redis.call("ZREMRANGEBYSCORE", key("hands"), "-inf", now)
redis.call("ZREMRANGEBYSCORE", key("dead-letters"), "-inf", now - rules.dead)

-- Beside the original: what it has handled is not ours any more, and what of its own is overdue is ours if we are first.
local function look_at_original()
  for _, id in ipairs(redis.call("ZRANGE", waitlist, 0, batch - 1)) do
    if redis.call("EXISTS", key("seen:" .. id)) == 1 then forget(id) end
  end
  -- What others have in hand, or what we have parked, is among these, too.
  local overdue = (now - lookback) / 1000
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", key("waitlist"), "-inf", overdue, "LIMIT", 0, 10 * batch)) do
    if redis.call("EXISTS", key("event:" .. id)) == 0 then
      redis.call("ZREM", key("waitlist"), id)
    elseif redis.call("EXISTS", key("processing:" .. id)) == 0 then
      adopt(id)
    end
  end
end

if beside then
  look_at_original()
  let_lapse()
end

-- 1. Queues of leaders that were handled, whose drainer gave no sign of life: take the queue over, from its first on, after
-- what the drainer had in hand was returned to its place.
local function is_due(set, id)
  local deadline = redis.call("ZSCORE", key(set), id)
  return deadline and tonumber(deadline) <= now
end

local waited = {}
local function siblings_wait(leader)
  if waited[leader] == nil then waited[leader] = redis.call("EXISTS", key("queue:" .. leader)) == 1 end
  return waited[leader]
end

-- The first of a queue that may still be tried.
local function first_in_queue(leader)
  while true do
    local first = redis.call("ZRANGE", key("queue:" .. leader), 0, 0)[1]
    local attempts = first and parse_tried(redis.call("GET", key("tried:" .. first)))
    if first and is_left_to_others(first) then
      -- Its siblings do not wait for a consumer that can read it.
      redis.call("ZREM", key("queue:" .. leader), first)
      redis.call("ZREM", key("heads"), first)
      redis.call("ZADD", key("claims"), now, first)
    elseif first and not take_from_original(first) then
      leave(first, lookback)
    elseif not first or attempts < rules.attempts or redis.call("EXISTS", key("processing:" .. first)) == 1 then
      return first
    else
      redis.call("ZREM", key("queue:" .. leader), first)
      bury_exhausted(first, rules, attempts)
    end
  end
end

-- Siblings return before one of them is handed out. If more claims have lapsed than the caller takes, they may have been
-- claimed together: then all of them are looked at, if a queue is due.
local crowded = redis.call("ZCOUNT", key("releases"), "-inf", now) > 0
  and redis.call("ZCOUNT", key("claims"), "-inf", now) > window
local in_use, most = {}, crowded and 10000 or window
for _, id in ipairs(redis.call("ZRANGEBYSCORE", key("claims"), "-inf", now, "LIMIT", 0, most)) do
  local leader, place = redis.call("HGET", key("leaders"), id), redis.call("HGET", key("places"), id)
  if leader and place and is_due("releases", leader) and (crowded or siblings_wait(leader)) and not is_unread(id) then
    -- A lease lasts until the end of its last millisecond, and its drainer's queue as long.
    if redis.call("EXISTS", key("processing:" .. id)) == 1 then in_use[leader] = true
    else return_to_queue(id, leader, place) end
  end
end

for _, leader in ipairs(redis.call("ZRANGEBYSCORE", key("releases"), "-inf", now, "LIMIT", 0, batch)) do
  local first = first_in_queue(leader)
  if not first then
    end_drain(leader)
  elseif not in_use[leader] and #found < batch then
    drain_by(leader, token, lease)
    keep(first, leader, "released")
  end
end

-- 2. Events that a consumer has had for longer than a lease, and those whose rest after a failure is over.
for _, id in ipairs(redis.call("ZRANGEBYSCORE", key("claims"), "-inf", now, "LIMIT", 0, math.max(0, window - #found))) do
  local attempts = parse_tried(redis.call("GET", key("tried:" .. id)))
  if not is_left(id) then
    forget(id)
  elseif redis.call("EXISTS", key("processing:" .. id)) == 1 then
    redis.call("ZADD", key("claims"), look_again_at(id), id)
  elseif attempts >= rules.attempts then
    bury_exhausted(id, rules, attempts)
  elseif #found < batch and not is_left_to_others(id) then
    -- What was left to the original, and was not handled, is offered to both again.
    if beside then redis.call("ZADD", key("waitlist"), string.format("%.3f", now / 1000), id) end
    -- Who has broken a cycle and failed breaks it again.
    keep(id, claim(id, is_on_cycle(id) and "!" or ""), "retried")
  end
end

-- 3. Events that other sweeps have claimed and no consumer has begun with. A list that one consumer goes through is shared:
-- each sweep returns the rest of it, too, in the same order. Each event is granted to the first consumer that asks, so all of
-- them are at work, and siblings start in their order.

-- A chain is never split: an event that waits for one that a consumer has is left to that consumer.
local function unbegun_of(sweep)
  local items, together = {}, {}
  for _, line in ipairs(redis.call("LRANGE", key("sweep:" .. sweep), 0, -1)) do
    local item = cjson.decode(line)
    local id, leader, why = item[1], item[2], item[3]
    local queued = why == "released" and is_queue_claimed_by(leader, id, sweep)
    local unbegun = queued or is_claimed_by(id, sweep)
    if queued then id = redis.call("ZRANGE", key("queue:" .. leader), 0, 0)[1] end  -- an elder one may have come since
    if unbegun and (why ~= "below" or together[leader]) then
      together[id] = true
      table.insert(items, {id = id, leader = leader, why = why, claim = sweep})
    end
  end
  return items
end

local LISTS = 20  -- no more are looked at, the oldest first
local others, siblings = {}, {}
for _, sweep in ipairs(redis.call("ZRANGE", key("sweeps"), 0, LISTS - 1)) do
  local items = unbegun_of(sweep)
  if #items == 0 then redis.call("ZREM", key("sweeps"), sweep) end
  for _, item in ipairs(items) do
    table.insert(others, item)
    siblings[item.leader] = siblings[item.leader] or {}
    table.insert(siblings[item.leader], item)
  end
end

-- Whether an event is as good as in the caller's hands, and comes in its order.
local in_hand = {}
local function share(item)
  if in_hand[item.id] or is_left_to_others(item.id) then return end
  in_hand[item.id] = true
  local payload = redis.call("GET", key("event:" .. item.id))
  if payload then table.insert(found, {item.id, payload, item.leader, item.why, item.claim}) end
end

-- Siblings that other sweeps have claimed go first. They are returned, too, if a consumer goes through them; if they were
-- claimed just now, or are too many, the leader's other followers wait.
local function brings_siblings(leader)
  local before = siblings[leader] or {}
  if #before > 0 and #found + #before >= batch then return false end
  for _, item in ipairs(before) do share(item) end
  siblings[leader] = nil
  local last = redis.call("GET", key("rescued:" .. leader))
  return not last or in_hand[last] or not is_live("claims", last) or not redis.call("HGET", key("claimants"), last)
    or redis.call("EXISTS", key("processing:" .. last)) == 1
end

-- 4. Heads of chains that have waited for the whole lookback.

local function leader_of(id)
  local leader = redis.call("HGET", key("leaders"), id)
  if leader then return leader end
  if mend(id) then return redis.call("HGET", key("leaders"), id) end
  keep(id, nil, "missing")
end

-- Go up from an event to the first of its chain, or to one on a circle. One that was met before in this sweep has led there.
local met = {}
local function find_head(id)
  local visited, head = {}, id
  repeat
    if met[head] or redis.call("ZSCORE", key("claims"), head) then return nil end
    met[head], visited[head] = true, true
    local leader = leader_of(head)
    if not leader then return nil end
    if not is_coming(leader) then return head end
    head = leader
  until visited[head]
  return head
end

-- An event that has waited for longer than the lookback may have been a head in a list that was evicted, and rebuilt since.
local function oldest_waits_too_long()
  local oldest = redis.call("ZRANGE", waitlist, 0, 0, "WITHSCORES")
  return oldest[2] and tonumber(oldest[2]) <= now - lookback - lease
end

if redis.call("EXISTS", key("heads")) == 0 or oldest_waits_too_long() then
  -- The list has no first event: either consumers have all of its events, or it was evicted.
  for _, id in ipairs(redis.call("ZRANGE", waitlist, 0, batch - 1)) do
    if redis.call("EXISTS", key("event:" .. id)) == 0 then
      keep(id, redis.call("HGET", key("leaders"), id), "missing")
    else
      local head = find_head(id)
      if head then redis.call("ZADD", key("heads"), "NX", redis.call("ZSCORE", waitlist, head), head) end
    end
  end
end

local function look_again_soon(id)
  redis.call("ZADD", key("heads"), "XX", now - lookback + 1000, id)
end

-- A leader whose queue is being drained was handled, also if its mark has expired since.
local function is_done(leader)
  return redis.call("EXISTS", key("seen:" .. leader), key("dead:" .. leader)) > 0
    or redis.call("ZSCORE", key("releases"), leader)
end

local function claim_below(id)
  local level = {id}
  while #level > 0 do
    local below = {}
    for _, leader in ipairs(level) do
      for _, follower in ipairs(redis.call("ZRANGE", key("queue:" .. leader), 0, -1)) do
        if take_from_original(follower) then
          claim(follower, "")
          keep(follower, leader, "below")
          table.insert(below, follower)
        else
          leave(follower, lookback)
        end
      end
    end
    level = below
  end
end

local function has_waited(id)
  local since = redis.call("ZSCORE", waitlist, id)
  return since and tonumber(since) <= now - lookback
end

-- Claim an event, and with it all siblings that have waited as long, in the order in which they occurred.
local function claim_family(first, leader)
  local last = nil
  local function take(id)
    if in_hand[id] or is_left_to_others(id) or #found >= batch then return end
    if not take_from_original(id) then return leave(id, lookback) end
    claim(id, "")
    keep(id, leader, "lost")
    in_hand[id], last = true, id
    if chains then claim_below(id) end
  end
  for _, id in ipairs(redis.call("ZRANGE", key("queue:" .. leader), 0, batch - 1)) do
    if id == first or has_waited(id) then take(id) end
  end
  take(first)
  if last then redis.call("SET", key("rescued:" .. leader), last, "PX", lease) end
end

local function look_at(id)
  local leader = redis.call("HGET", key("leaders"), id)
  if not leader or not is_parked(id) then
    if not mend(id) then redis.call("ZREM", key("heads"), id) end
  elseif is_coming(leader) then
    redis.call("ZREM", key("heads"), id)
    if is_on_cycle(id, true) and take_from_original(id) then
      claim(id, "!")
      keep(id, leader, "cycle")
    end
  elseif is_expected(leader, rules.redelivery) then
    look_again_soon(id)
  elseif is_done(leader) and redis.call("ZSCORE", key("queue:" .. leader), id) then
    -- It waits for its turn among its siblings, and not for its leader.
    look_again_soon(id)
    redis.call("ZADD", key("releases"), "NX", now, leader)
  elseif not brings_siblings(leader) then
    look_again_soon(id)
  else
    claim_family(id, leader)
  end
end

if #found < batch then
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", key("heads"), "-inf", now - lookback, "LIMIT", 0, batch - #found)) do
    if #found < batch and not in_hand[id] then look_at(id) end
  end
end

for _, item in ipairs(others) do
  if #found < batch then share(item) end
end
-- 5. Dead letters that were not reported. The caller reports them and confirms that; otherwise the next sweep returns them again.
for _, id in ipairs(redis.call("ZRANGEBYSCORE", key("untold"), "-inf", now, "LIMIT", 0, batch)) do
  local letter = redis.call("GET", key("dead:" .. id))
  if letter then
    redis.call("ZADD", key("untold"), now + lease, id)
    table.insert(found, {id, letter, "", "dead", token})
  else
    redis.call("ZREM", key("untold"), id)
  end
end
redis.call("PEXPIRE", record, lease)
if beside then let_lapse() end
return found
