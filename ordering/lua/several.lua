-- Answer requests to `begin` and `complete` that tasks of one process have made together, each as if it had come by itself.
-- keys: waitlist
-- args: rules requests...
-- returns: {answer}...
-- runs: begin complete
-- Each of the `requests` is the name of a script, a count, and so many words: those that the script takes after the rules.
-- The answer is false if the script has failed: asked by itself, it says why, and the others are none the wiser.
local scripts, answers = {begin = begin, complete = complete}, {}
local at = 2
while at < #ARGV do
  local request, count = {ARGV[1]}, tonumber(ARGV[at + 1])
  for i = 1, count do request[i + 1] = ARGV[at + 1 + i] end
  local done, answer = pcall(scripts[ARGV[at]], request)
  answers[#answers + 1] = done and answer
  at = at + 2 + count
end
return answers
