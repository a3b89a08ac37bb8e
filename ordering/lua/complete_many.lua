-- Mark many events as handled, and claim the queues of those that others wait for: the caller drains them.
-- keys: waitlist
-- args: rules events...
-- returns: {answer}...
-- Each of the `events` is three words: id, token, digest. A token becomes the claim on its event's queue. Each answer is two
-- words in one text, "done", "again" or "lost", and "1" if a consumer waits for the end of the event.
local rules = read_rules(true)
local answers, hands = {}, {}
for first = 2, #ARGV, 3 do
  local id, token, digest = ARGV[first], ARGV[first + 1], ARGV[first + 2]
  local word = mark_seen(id, token, digest, rules.retention, rules.memory, hands)
  local waiting = word ~= "lost" and redis.call("EXISTS", key("queue:" .. id)) == 1
  if waiting then drain_by(id, token, rules.lease) end
  answers[#answers + 1] = word .. (waiting and " 1" or " 0")
end
if #hands > 0 then redis.call("ZREM", key("hands"), unpack(hands)) end
return answers
