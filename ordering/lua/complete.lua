-- Mark an event as handled, release what waits for it, and hand out the next event of the closure.
-- keys: waitlist
-- args: rules id token digest leader drain next
-- returns: lost | done left | next left id fence payload leader | missing left id leader
-- `leader` and `drain` name a queue that the caller already drains, to go on with if nothing waits for this event;
-- `left` is "1" if something is left in it, "0" if that drain is over.
local rules = read_rules(true)
local id, token, digest, leader, drain, next_token = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local word = mark_seen(id, token, digest, rules.retention, rules.memory)
if word == "lost" then return "lost" end
if word == "again" then
  -- The reply to this very completion was lost: what it handed out is still leased under the next token. If it is not, the
  -- caller may have gone on long since, and this request have been executed once more, late: it hands out nothing.
  local answer = handed_before(next_token)
  if answer then return answer end
  local waits = is_drained_by(leader, drain) and redis.call("EXISTS", key("queue:" .. leader)) == 1
  return "done " .. (waits and "1" or "0")
end

local left = "0"
if is_drained_by(leader, drain) then
  if redis.call("ZCARD", key("queue:" .. leader)) > 0 then
    left = "1"
  else
    end_drain(leader)
  end
end
if next_token == "" then
  -- The caller claims the queue next: until then, no sweep does, or siblings would be claimed by two consumers.
  if redis.call("EXISTS", key("queue:" .. id)) == 1 and is_drained_by(id, token) then drain_by(id, token, rules.lease) end
  return "done " .. left
end
local from = id
local answer = next_of(id, next_token, next_token, rules)
if not answer and left == "1" then
  from = leader
  answer = next_of(leader, drain, next_token, rules)
  if not answer then
    left = "0"
    end_drain(leader)
  end
end
return hand_over(answer, left, next_token, from, rules.lease)
