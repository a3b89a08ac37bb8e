-- Decide about many events at once, leaders before their followers. Whoever asks handles what is granted in this order.
-- keys: waitlist
-- args: lookback lease keep memory events...
-- returns: {word, ...}...
-- Each event is id, token, claim, leader, occurred, payload, received, digest.
local rules = {
  lookback = tonumber(ARGV[1]), lease = tonumber(ARGV[2]), keep = tonumber(ARGV[3]), memory = tonumber(ARGV[4]),
  causal = true,
}
local together, answers = {}, {}
for i = 5, #ARGV, 8 do
  local event = {
    id = ARGV[i], token = ARGV[i + 1], claim = ARGV[i + 2], leader = ARGV[i + 3], occurred = ARGV[i + 4],
    payload = ARGV[i + 5], received = tonumber(ARGV[i + 6]), digest = ARGV[i + 7],
  }
  local answer = decide(event, rules, together)
  if answer[1] == "granted" then together[event.id] = true end
  table.insert(answers, answer)
end
return answers
