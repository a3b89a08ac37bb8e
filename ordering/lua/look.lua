-- Read what there is about some events. The client may send a command that only reads to a replica, which may be behind,
-- but never a script.
-- keys: waitlist
-- args: what id...
-- returns: {value}...
-- One value for each id: what its key holds, empty if there is none. Of `queue`, how many wait in it; of `waiting`, their ids.
local found, what = {}, ARGV[1]
for i = 2, #ARGV do
  local id = ARGV[i]
  if what == "queue" then
    table.insert(found, redis.call("ZCARD", key("queue:" .. id)))
  elseif what == "waiting" then
    table.insert(found, redis.call("ZRANGE", key("queue:" .. id), 0, -1))
  else
    table.insert(found, redis.call("GET", key(what .. ":" .. id)) or "")
  end
end
return found
