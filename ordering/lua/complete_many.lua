-- Mark many events as handled, and claim the queues of those that others wait for: the caller drains them.
-- keys: waitlist
-- args: lookback lease retention memory events
-- returns: {word, waiting}...
-- `events` is a JSON array of [id, token, digest]; a token becomes the claim on its event's queue. `waiting` is "1" if
-- there is one.
local rules = read_rules(true)
local answers = {}
for i, event in ipairs(cjson.decode(ARGV[5])) do
  local id, token = event[1], event[2]
  local word = mark_seen(id, token, event[3], rules.retention, rules.memory)
  local waiting = word ~= "lost" and redis.call("EXISTS", key("queue:" .. id)) == 1
  if waiting then drain_by(id, token, rules.lease) end
  answers[i] = {word, waiting and "1" or "0"}
end
return answers
