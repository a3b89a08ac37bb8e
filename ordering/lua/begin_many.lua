-- Decide about many events at once, leaders before their followers. Whoever asks handles what is granted in this order.
-- keys: waitlist
-- args: lookback lease retention memory events
-- returns: {word, ...}...
-- `events` is a JSON array of events, each an array of what `begin` takes as words.
local rules = read_rules(true)
local together, answers = {}, {}
for i, fields in ipairs(cjson.decode(ARGV[5])) do
  local event = read_event(fields, 1)
  local answer = decide(event, rules, together)
  if answer[1] == "granted" then together[event.id] = true end
  answers[i] = answer
end
return answers
