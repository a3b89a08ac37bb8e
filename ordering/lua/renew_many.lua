-- Show a sign of life for many events at once: prolong their leases, what was claimed together with them, and the claims on
-- the queues that the caller will drain.
-- keys: waitlist
-- args: lease queues words...
-- returns: {renewed}...
-- The `words` are so many `queues`, as two words each: leader, claim; then the events, as three: id, token, claim.
-- A reply is "1" for an event whose lease was prolonged, "0" for one whose lease is lost.
local lease, last = tonumber(ARGV[1]), 2 + 2 * tonumber(ARGV[2])
local answers, claims = {}, {}
-- The leases come first: in a store that is short of memory, a script that has written may go on to write.
for i = last + 1, #ARGV, 3 do
  local id, token, claim = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local mine = renew_lease(id, token, lease)
  if mine and claim ~= "" then claims[#claims + 1] = claim end
  answers[#answers + 1] = mine and "1" or "0"
end
local gone_through = {}
for _, claim in ipairs(claims) do
  if not gone_through[claim] then
    gone_through[claim] = true
    go_through(claim, lease)
  end
end
renew_drains(3, last, lease)
return answers
