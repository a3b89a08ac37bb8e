-- Decide about many events at once, leaders before their followers. The caller handles the granted events in this order.
-- keys: waitlist
-- args: rules events...
-- returns: {word, ...}...
-- Each of the `events` is as many words as `begin` takes for one. An event that is to be tried `alone` was granted before
-- and never given back: its handler may be one that kills its process, and the others of a batch with it.
local rules = read_rules(true, true)
local together, answers = {}, {}
for first = 2, #ARGV, 9 do
  local event = read_event(ARGV, first)
  local answer = decide(event, rules, together)
  if answer[1] == "granted" then together[event.id] = true end
  answers[#answers + 1] = answer
end
return answers
