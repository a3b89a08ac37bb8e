-- The names of the keys of a scope, the test whether all of them are on this node, and the clock.
-- Every verb's first key names the scope by way of its waitlist, so that a cluster knows where to send it.
-- A script is sent with the steps that it calls, and Redis defines them again in each run: a step marked `rarely` contains the
-- steps that only such steps call, so that most runs do not define those.

local waitlist = KEYS[1]
-- Beside the original, in one fleet (`ordering.prefect`), our waitlist has a name of its own: "waitlist" is the original's.
local beside = string.sub(waitlist, -#"parked") == "parked"
local prefix = string.sub(waitlist, 1, beside and -#"parked" - 1 or -#"waitlist" - 1)
local function key(name) return prefix .. name end

-- All keys of a scope lie in one slot. While that moves to another node, each of the two has some of the keys, and takes
-- the others for absent: a script would decide by half of what is known, or fail half-way. Asked about two keys at once, of
-- which one never exists, both nodes refuse, before anything was read or written; where nothing moves, both answer.
local whole = redis.pcall("EXISTS", KEYS[1], key("never"))
if type(whole) == "table" and whole.err then
  -- Redis says it in one of two ways, by its version.
  if string.find(whole.err, "non local key", 1, true) or string.find(whole.err, "rehashing of the slot", 1, true) then
    return redis.error_reply("TRYAGAIN the slot of this scope is being moved")
  end
  return whole
end

-- One clock for all consumers: the server's, in milliseconds and in microseconds.
local time = redis.call("TIME")
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)
-- Since when an event waits that comes now: from the next millisecond on, or it would have waited for the whole lookback
-- before that is over.
local from_now = math.ceil(now_us / 1000)

local function text(value) return value and value ~= "" end

-- The reply to a request may be lost: asked again under the same token within a lease, a script gives the same answer.
local function answered_before(token)
  local answer = redis.call("GET", key("answered:" .. token))
  return answer and cjson.decode(answer)
end

local function answer_once(token, answer, lease)
  redis.call("SET", key("answered:" .. token), cjson.encode(answer), "PX", lease)
  return answer
end
