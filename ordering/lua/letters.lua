-- Read dead letters, the oldest first.
-- keys: waitlist
-- args: first last
-- returns: {id, letter}...
-- A letter is a line of JSON about it, and after that what the event said. It is empty if its time is over.
local found = {}
for _, id in ipairs(redis.call("ZRANGE", key("dead-letters"), ARGV[1], ARGV[2])) do
  table.insert(found, {id, redis.call("GET", key("dead:" .. id)) or ""})
end
return found
