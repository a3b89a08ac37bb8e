-- Mark many events as handled, and claim the queues of those that others wait for: the caller drains them.
-- keys: waitlist
-- args: lease retention memory events...
-- returns: {word, waiting}...
-- Each event is id, token, digest; its token becomes the claim on its queue. `waiting` is "1" if there is one.
local lease, retention, memory = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local answers = {}
for i = 4, #ARGV, 3 do
  local id, token = ARGV[i], ARGV[i + 1]
  local word = mark_seen(id, token, ARGV[i + 2], retention, memory)
  local waiting = word ~= "lost" and redis.call("EXISTS", key("queue:" .. id)) == 1
  if waiting then drain_by(id, token, lease) end
  table.insert(answers, {word, waiting and "1" or "0"})
end
return answers
