-- What Redis adds to Lua: its own functions, globals that are read-only, errors that know their line, JSON.
-- Called with functions of Python, which are C functions to Lua as those of Redis are; returns what Python calls.
local call, try, encode_json, decode_json, sha1hex, refuse, text_of = ...
local READONLY = "Attempt to modify a readonly table"

local type, tostring, select, error, pairs = type, tostring, select, error, pairs
local format, concat, gsub, byte, find = string.format, table.concat, string.gsub, string.byte, string.find
local floor, ceil, huge = math.floor, math.ceil, math.huge
local getinfo, loadstring, setfenv, xpcall, pcall = debug.getinfo, loadstring, setfenv, xpcall, pcall

-- Redis has these too. A script that asks for one is refused, for it would find something that is not there.
local not_here = {
  struct = true, cmsgpack = true, bit = true, os = true, loadstring = true, load = true, gcinfo = true,
  coroutine = true, collectgarbage = true, getfenv = true, setfenv = true, rawset = true, getmetatable = true,
  newproxy = true, rawequal = true, module = true,
}

-- A table that shows another one, and cannot be changed.
local function readonly(shown, missing)
  return setmetatable({}, {
    __index = setmetatable(shown, {__index = missing}),
    __newindex = function() error(READONLY, 2) end,
    __metatable = false,
  })
end

local function refusing(library)
  return function(_, name) refuse(library .. "." .. tostring(name)) end
end

-- -- redis --------------------------------------------------------------------------------------------------------

local function status(text) return {ok = text} end
local function failure(text) return {err = text} end
local function list(...) return {...} end

-- Where a function of C that is running now was called, as Lua puts it in front of an error.
local function where()
  local caller = getinfo(3, "Sl")
  return caller and caller.source == "@user_script" and "user_script:" .. caller.currentline .. ": " or ""
end

local function error_reply(text)
  if type(text) ~= "string" then refuse("redis.error_reply of no text") end
  if byte(text) == 45 then text = text:sub(2) end
  return {err = find(text, " ", 1, true) and text or "ERR " .. text}
end

local function status_reply(text)
  if type(text) ~= "string" then refuse("redis.status_reply of no text") end
  return {ok = text}
end

-- -- JSON ---------------------------------------------------------------------------------------------------------

local short = {["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n", ["\f"] = "\\f", ["\r"] = "\\r"}
local function escaped(char)
  return short[char] or (byte(char) < 32 or byte(char) == 127) and format("\\u%04x", byte(char)) or "\\" .. char
end
local function quoted(text) return '"' .. gsub(text, '[%c"\\/]', escaped) .. '"' end

-- The last place of a table that is an array, or nil. An empty one is an object, as is one that is sparse.
local function length(value)
  local last, count = 0, 0
  for key in pairs(value) do
    if type(key) ~= "number" or key < 1 or floor(key) ~= key then return nil end
    last, count = key > last and key or last, count + 1
  end
  if last > count * 2 and last > 10 then error("Cannot serialise table: excessively sparse array", 0) end
  return count > 0 and last or nil
end

local encode
local function encode_name(name)
  if type(name) == "string" then return quoted(name) end
  if type(name) == "number" then return '"' .. encode(name) .. '"' end
  error("Cannot serialise table: table key must be a number or string", 0)
end

function encode(value)
  local kind = type(value)
  if kind == "string" then return quoted(value) end
  if kind == "number" then
    if value ~= value or value == huge or value == -huge then
      error("Cannot serialise number: must not be NaN or Inf", 0)
    end
    return format("%.14g", value)
  end
  if kind == "boolean" then return tostring(value) end
  if kind == "nil" then return "null" end
  if kind ~= "table" then error("Cannot serialise function: type not supported", 0) end
  local parts, last = {}, length(value)
  if last then
    for i = 1, last do parts[i] = encode(value[i]) end
    return "[" .. concat(parts, ",") .. "]"
  end
  for name, inner in pairs(value) do parts[#parts + 1] = encode_name(name) .. ":" .. encode(inner) end
  return "{" .. concat(parts, ",") .. "}"
end

local function json(value)
  local done, text = pcall(encode, value)
  return done and text, not done and text
end

-- -- the globals of a script ----------------------------------------------------------------------------------------

local function ended(done, value, ...)
  if done then return done, value, ... end
  return done, type(value) == "table" and value.err or type(value) == "userdata" and text_of(value, false) or value
end
local function safe_pcall(...) return ended(pcall(...)) end

local function without(library, ...)
  local copy = {}
  for name, value in pairs(library) do copy[name] = value end
  local refused = {}
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    copy[name], refused[name] = nil, true
  end
  return readonly(copy, function(_, name) if refused[name] then refuse("the Lua function " .. name) end end)
end

local globals = {
  redis = readonly(
    {call = call, pcall = try, error_reply = error_reply, status_reply = status_reply, sha1hex = sha1hex},
    refusing("redis")
  ),
  cjson = readonly({encode = encode_json, decode = decode_json}, refusing("cjson")),
  string = without(string, "dump"),
  table = without(table),
  math = without(math, "random", "randomseed"),
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = safe_pcall, rawget = rawget,
  select = select, setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type,
  unpack = unpack, _VERSION = _VERSION,
}
getmetatable("").__index = globals.string
local environment = readonly(globals, function(_, name)
  if not_here[name] or name == "_G" or name == "xpcall" then refuse("the Lua function " .. name) end
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end)

-- -- scripts ------------------------------------------------------------------------------------------------------

local function whole(value)
  if value ~= value or value >= 2 ^ 63 or value < -2 ^ 63 then refuse("an answer of " .. value) end
  return format(":%.0f\r\n", value < 0 and ceil(value) or floor(value))
end

-- What a script returns, as the client reads it. `protocol` is 2 or 3.
local function written(value, protocol)
  local kind = type(value)
  if kind == "string" then return "$" .. #value .. "\r\n" .. value .. "\r\n" end
  if kind == "number" then return whole(value) end
  if kind ~= "table" then
    if value == true then return ":1\r\n" end
    if not value then return protocol == 3 and "_\r\n" or "$-1\r\n" end
    refuse("an answer of the type " .. kind)
  end
  if value.err then return "-" .. gsub(tostring(value.err), "[\r\n]", " ") .. "\r\n" end
  if value.ok then return "+" .. gsub(tostring(value.ok), "[\r\n]", " ") .. "\r\n" end
  if value.double or value.map or value.set or value.big_number or value.verbatim_string then
    refuse("an answer that is marked as of a type of RESP3")
  end
  local parts, count = {""}, 0
  while value[count + 1] ~= nil do
    count = count + 1
    parts[count + 1] = written(value[count], protocol)
  end
  parts[1] = "*" .. count .. "\r\n"
  return concat(parts)
end

-- An error keeps the line of the script where it happened.
local function blamed(reason)
  local told = type(reason) == "table" and reason.err or type(reason) == "userdata" and text_of(reason, true)
  local blame = {err = told or "ERR " .. tostring(reason)}
  for level = 2, 20 do
    local info = getinfo(level, "Sl")
    if info and info.source == "@user_script" then
      blame.line = info.currentline
      break
    end
  end
  return blame
end

local function compile(script)
  local compiled, failure = loadstring(script, "@user_script")
  if compiled then setfenv(compiled, environment) end
  return compiled, failure
end

-- Run a script on some words: first its keys, so many, then its arguments.
local function run_long(script, digest, protocol, count, words)
  local keys, arguments = {}, {}
  for i = 1, count do keys[i] = words[i] end
  for i = count + 1, #words do arguments[i - count] = words[i] end
  globals.KEYS, globals.ARGV = keys, arguments
  local done, value = xpcall(script, blamed)
  if done then return written(value, protocol) end
  local place = value.line and ", on @user_script:" .. value.line or ""
  return "-" .. gsub(tostring(value.err), "[\r\n]", " ") .. " script: " .. digest .. place .. ".\r\n"
end

local function run(script, digest, protocol, count, ...) return run_long(script, digest, protocol, count, {...}) end

return {
  compile = compile, run = run, run_long = run_long,
  status = status, failure = failure, list = list,
  json = json, where = where,
}
