-- Show a sign of life for many events at once: prolong their leases, what was claimed together with them, and the claims on
-- the queues that the caller will drain. The events that came with such a queue are among these.
-- keys: waitlist
-- args: lease queues words...
-- returns: {renewed}...
-- The `words` are so many `queues`, as two words each: leader, claim; then the events, as three: id, token, claim.
-- A reply is "1" for an event whose lease was prolonged, "0" for one whose lease is lost.
local lease, last = tonumber(ARGV[1]), 2 + 2 * tonumber(ARGV[2])
local answers, claims, lost = {}, {}, {}
-- The leases come first: in a store that is short of memory, a script that has written may go on to write.
for i = last + 1, #ARGV, 3 do
  local id, token, claim = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local mine = renew_lease(id, token, lease)
  if mine and claim ~= "" then claims[#claims + 1] = claim end
  if not mine then lost[redis.call("HGET", key("leaders"), id) or ""] = true end
  answers[#answers + 1] = mine and "1" or "0"
end
local gone_through = {}
for _, claim in ipairs(claims) do
  if not gone_through[claim] then
    gone_through[claim] = true
    go_through(claim, lease)
  end
end
-- A drain ends with the lease, as in `renew`.
for i = 3, last, 2 do
  if not lost[ARGV[i]] then renew_drain(ARGV[i], ARGV[i + 1], lease) end
end
return answers
