-- Parking an event, or adopting one that the original has parked.

-- An event is parked behind the leader that it named first: a duplicate that names another does not move it. It waits from
-- now on, or since it was received, if its age goes by that.
local function park(id, leader, occurred, payload, received)
  local before = redis.call("HGET", key("leaders"), id)
  if before and waits_for_another(id, before, leader) then return end
  redis.call("SET", key("event:" .. id), payload)
  redis.call("HSET", key("leaders"), id, leader)
  redis.call("ZADD", key("queue:" .. leader), occurred, id)
  redis.call("HSET", key("places"), id, occurred)
  redis.call("ZADD", waitlist, "NX", received or from_now, id)
  if beside then share(id, leader, received or from_now) end
  redis.call("ZREM", key("claims"), id)
  redis.call("HDEL", key("claimants"), id)
  if not is_coming(leader) then
    redis.call("ZADD", key("heads"), "NX", redis.call("ZSCORE", waitlist, id), id)
  end
  limit_queue(leader)
  if beside then let_lapse() end
end

-- The place of an event among its siblings, from when it occurred as its payload says that: microseconds since 1970.
local function place_of(occurred)
  local year, month, day, hour, minute, second, fraction, zone =
    string.match(occurred, "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?(%d*)(.*)$")
  if not year then return nil end
  year, month = tonumber(year), tonumber(month)
  if month < 3 then year, month = year - 1, month + 12 end  -- a year that begins in March ends with its leap day
  local leap_days = math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  local days = 365 * year + leap_days + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
  local sign, hours, minutes = string.match(zone, "^([+-])(%d+):(%d+)$")
  local ahead = sign and tonumber(sign .. hours * 3600 + minutes * 60) or 0
  local seconds = days * 86400 + hour * 3600 + minute * 60 + second - ahead
  return string.format("%.0f", seconds * 1000000 + string.sub(fraction .. "000000", 1, 6))
end

-- Park an event with us that the original has parked, unless it has taken it since.
local function adopt(id)
  local since = redis.call("ZSCORE", key("waitlist"), id)
  if not since or is_parked(id) or redis.call("EXISTS", key("seen:" .. id)) == 1 then return end
  local payload = redis.call("GET", key("event:" .. id))
  local read, event = pcall(cjson.decode, payload or "")
  if not (read and type(event) == "table" and type(event.follows) == "string") then return end
  local place = type(event.occurred) == "string" and place_of(event.occurred)
  if place then park(id, event.follows, place, payload, math.floor(since * 1000)) end
end

-- Release what the original has parked behind a leader that is done, with our own: the empty set says so to it.
local function adopt_followers(leader)  -- rarely
  if not beside then return end
  for _, id in ipairs(redis.call("SORT", key("followers:" .. leader), "ALPHA")) do adopt(id) end
  redis.call("DEL", key("followers:" .. leader))
end
