-- Count what is there, without looking at all of it.
-- keys: waitlist
-- args: lookback dead
-- returns: {number}...
-- The numbers: parked, claimed, overdue, unreadable, in hand, released queues, dead letters, and since when the one has
-- waited that waits for the longest, in milliseconds, -1 if none does.
local overdue, kept = now - tonumber(ARGV[1]), now - tonumber(ARGV[2])
local oldest = redis.call("ZRANGE", waitlist, 0, 0, "WITHSCORES")
return {
  redis.call("ZCARD", waitlist),
  redis.call("ZCARD", key("claims")),
  redis.call("ZCOUNT", key("heads"), "-inf", overdue),
  redis.call("HLEN", key("unread")),
  redis.call("ZCOUNT", key("hands"), "(" .. now, "+inf"),
  redis.call("ZCARD", key("releases")),
  redis.call("ZCOUNT", key("dead-letters"), "(" .. kept, "+inf"),
  oldest[2] and math.floor(tonumber(oldest[2])) or -1,
}
