-- Decide about many events at once, leaders before their followers. Whoever asks handles what is granted in this order.
-- keys: waitlist
-- args: lookback lease retention memory events...
-- returns: {word, ...}...
-- Each of the `events` is as many words as `begin` takes for one.
local rules = read_rules(true)
local together, answers = {}, {}
for first = 5, #ARGV, 9 do
  local event = read_event(ARGV, first)
  local answer = decide(event, rules, together)
  if answer[1] == "granted" then together[event.id] = true end
  answers[#answers + 1] = answer
end
return answers
