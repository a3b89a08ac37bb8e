-- Decide about many events at once, leaders before their followers. Whoever asks handles what is granted in this order.
-- keys: waitlist
-- args: events rules
-- returns: {word, ...}...
-- `events` is a JSON array of events as `begin` takes them, each with its payload behind it.
local rules = read_rules(ARGV[2], true)
local together, answers = {}, {}
for i, fields in ipairs(cjson.decode(ARGV[1])) do
  local event = read_event(fields, fields[8])
  local answer = decide(event, rules, together)
  if answer[1] == "granted" then together[event.id] = true end
  answers[i] = answer
end
return answers
