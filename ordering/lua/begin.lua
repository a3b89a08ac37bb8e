-- Decide about one event that was delivered: grant its lease, park it, or refuse it.
-- keys: waitlist
-- args: id token claim leader occurred payload received lookback lease keep memory digest mode
-- returns: granted fence drain | granted fence | seen | held | parked | waiting ms | drain token
local id, token, claim, leader = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local occurred, payload, received = ARGV[5], ARGV[6], tonumber(ARGV[7])
local lookback, lease, keep = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local memory, digest, mode = tonumber(ARGV[11]), ARGV[12], ARGV[13]

if redis.call("EXISTS", key("seen:" .. id)) == 1 then
  forget(id)
  return {"seen"}
end
local owner, fence = holder(id)
if owner == token then
  redis.call("PEXPIRE", key("processing:" .. id), lease)
  return {"granted", fence}
end
if owner then return {"held"} end

-- Whoever has a claim on the event will handle it; others may rely on that.
local claimant = redis.call("HGET", key("claimants"), id)
local forced = claimant == claim .. "!"
local mine = text(claim) and (claimant == claim or forced)
if is_live("claims", id) and not mine then return {"parked"} end

if text(leader) and mode == "causal" and not forced then
  local done = redis.call("EXISTS", key("seen:" .. leader), key("dead:" .. leader)) > 0
  if done or is_remembered(digest, memory) then
    -- Siblings that came earlier and have not started go first.
    local first = redis.call("ZRANGE", key("queue:" .. leader), 0, 0)[1]
    local draining = is_live("releases", leader)
    if (first or draining) and not mine then
      if first == id and (not draining or is_drained_by(leader, claim)) then
        local drain = draining and claim or token
        drain_by(leader, drain, lease)
        return {"granted", grant(id, token, lease, keep), drain}
      end
      park(id, leader, occurred, payload)
      if draining then return {"parked"} end
      drain_by(leader, token, lease)
      return {"drain", token}
    end
  else
    local since = received or tonumber(redis.call("ZSCORE", key("waitlist"), id) or now)
    local overdue = mine or now - since >= lookback
    if is_expected(leader) or not overdue then
      park(id, leader, occurred, payload)
      local left = redis.call("PTTL", key("processing:" .. leader))
      if left > 0 then return {"waiting", left} end
      return {"parked"}
    end
  end
end
return {"granted", grant(id, token, lease, keep)}
