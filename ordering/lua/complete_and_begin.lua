-- Mark an event as handled, as `complete` does. If nothing is left to go on with, decide about the events that the caller
-- has at hand, one after the other, until one is granted, or gives the caller a queue to go through.
-- keys: waitlist
-- args: rules id token digest leader drain next events...
-- returns: {completion, answer...}
-- runs: complete
-- Without an `id`, nothing is marked. Each of the `events` is as many words as `begin` takes for one; there is an answer for
-- each that was decided about. Asked again under the same tokens, it gives the same answers.
local completion = "done 0"
if ARGV[2] ~= "" then completion = complete(ARGV) end
local answers = {completion}
if completion == "done 0" then
  local rules = read_rules(true)
  for first = 8, #ARGV, 9 do
    local answer, granted = decide(read_event(ARGV, first), rules, {})
    answers[#answers + 1] = answer
    if granted or string.sub(answer, 1, 5) == "drain" then break end
  end
end
return answers
