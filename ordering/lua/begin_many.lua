-- Decide about many events at once, leaders before their followers. The caller handles the granted events in this order.
-- keys: waitlist
-- args: rules events...
-- returns: {answer}...
-- Each of the `events` is as many words as `begin` takes for one. An event that is to be tried `alone` was granted before
-- and never given back: its handler may be one that kills its process, and the others of a batch with it.
local rules = read_rules(true, true)
local hands = {}
rules.hands, rules.held_until = hands, string.format("%.0f", now + rules.lease)
local together, answers = {}, {}
for first = 2, #ARGV, 9 do
  local event = read_event(ARGV, first)
  local answer, granted = decide(event, rules, together)
  if granted then together[event.id] = true end
  answers[#answers + 1] = answer
end
if #hands > 0 then redis.call("ZADD", key("hands"), unpack(hands)) end
return answers
