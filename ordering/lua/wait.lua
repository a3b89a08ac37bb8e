-- Say whether an event may be handled now, by its leader. If not, it is parked. If its leader is being handled and the caller
-- can wait, it is not parked, and the end of the leader's handling is published. No consumer holds a parked event.
-- keys: waitlist
-- args: rules id token claim given leader occurred received digest payload patient leased
-- returns: ready | seen | dead | waiting ms | parked
-- The token is that of the caller's own lease on the event; `leased` says whether there is one.
local e, rules = read_event(ARGV, 2), read_rules(true)
-- A claim is the caller's if it still stands, or if the caller's lease came of it.
local claimant = claimant_of(e)
local forced = claimant == e.claim .. "!" or claimant == e.token .. "!"
local mine = forced or claimant == e.token .. "+" or text(e.claim) and claimant == e.claim

-- An event with a lease is in no queue any more: the first there may be one that comes after it.
local function is_earlier(id, occurred)
  local own = tonumber(e.occurred)
  return occurred < own or occurred == own and id < e.id
end

local function has_earlier_siblings()
  local deadline = redis.call("ZSCORE", key("releases"), e.leader)
  if deadline and tonumber(deadline) <= now then return_from_hands(e.leader) end
  local first = redis.call("ZRANGE", key("queue:" .. e.leader), 0, 0, "WITHSCORES")
  return first[1] and is_earlier(first[1], tonumber(first[2]))
    or is_live("releases", e.leader) and not is_drained_by(e.leader, e.claim)
end

local function give_back()
  if holder(e.id) ~= e.token then return end
  free(e.id)
  uncount(e.id, rules.redelivery)
end

-- A parked event leaves its queue when its turn has come: with the caller's lease, as `grant` has it.
local function ready()
  if not mine and claimant ~= e.token and is_parked(e.id) and holder(e.id) == e.token then
    take_out(e.id, redis.call("HGET", key("leaders"), e.id) or e.leader, e.token, rules.lease)
  end
  return {"ready"}
end

if redis.call("EXISTS", key("seen:" .. e.id)) == 1 then return {"seen"} end
if redis.call("EXISTS", key("dead:" .. e.id)) == 1 then return {"dead"} end
-- Asked again because the reply was lost: the event was parked then, and the caller's lease is gone.
if ARGV[12] == "1" and is_parked(e.id) and holder(e.id) ~= e.token then return {"parked"} end
if forced then return {"ready"} end
if is_live("claims", e.id) and not mine and claimant ~= e.token then
  give_back()
  return {"parked"}
end
if redis.call("EXISTS", key("seen:" .. e.leader), key("dead:" .. e.leader)) > 0
  or is_remembered(e.digest, rules.memory) then
  if mine or not has_earlier_siblings() then return ready() end
  redis.call("ZADD", key("releases"), "NX", now, e.leader)
elseif is_overdue(e, rules, mine) and not is_expected(e.leader, rules.redelivery) then
  return ready()
end

-- A holder that lives prolongs its lease four times within its length. One that has not, a thirty-second of its length later,
-- may be dead: it is not waited for.
local function until_silent()
  local left = lease_left(e.leader)
  local _, _, lease = parse_lease(redis.call("GET", key("processing:" .. e.leader)))
  return left > 0 and left - math.floor((lease or rules.lease) * 23 / 32) or 0
end

local left = until_silent()
if left > 0 and ARGV[11] == "1" then
  redis.call("SET", key("watched:" .. e.leader), "1", "PX", 2 * rules.lease)
  return {"waiting", left}
end
give_back()
park_before_leader(e, rules)
return {"parked"}
