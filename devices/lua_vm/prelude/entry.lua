-- How Python gets in: loading modules, calling functions, handing results out (spec/06 §5.3, §5.4).
--
-- Memory is limited only while guest code runs (`kit.arm`), because an allocation that fails inside
-- the binding, outside of a protected call, would end the whole process. While the limit is armed
-- the functions called in Python take no arguments and give back nothing that must be allocated.

local kit = ...
local arm, disarm, bridge = kit.arm, kit.disarm, kit.bridge
local error, find, format, getinfo = error, string.find, string.format, debug.getinfo
local gmatch, next = string.gmatch, next
local math_type, rawequal = math.type, rawequal
local rawget, rawset, setmetatable, sub = rawget, rawset, setmetatable, string.sub
local type, xpcall = type, xpcall
local guest = kit.guest

local FRAMES, LEVELS = 40, 4000

-- The calls that led to an error, innermost first: function, line, function, line, ...
-- The prelude is stripped of its lines, which keeps it and native functions out.
local function trace_of(name)
  local trace, count, level = {}, 0, 3
  local info = getinfo(level, "Sln")
  while info and count < 2 * FRAMES and level < LEVELS do
    if info.currentline > 0 then
      local called = info.name or info.what == "main" and "main chunk"
      trace[count + 1] = called or format("function <%s:%d>", info.short_src, info.linedefined)
      trace[count + 2] = format("%s:%d", info.short_src, info.currentline)
      count = count + 2
    end
    level = level + 1
    info = getinfo(level, "Sln")
  end
  if count > 0 and not info and find(trace[count - 1], "function <", 1, true) then
    trace[count - 1] = name
  end
  return trace
end

local called -- the name that the outermost function was called by

local function on_error(err)
  if kit.is_full(err) then kit.note("memory") end
  if kit.is_over() then return nil end
  return {value = err, trace = trace_of(called)}
end

-- Ends a call. First result: true and the results, false with the error and its trace, or nil with
-- the limit that stopped the guest. The second is what the guest printed.
local function leave(ok, ...)
  disarm()
  if not ok and kit.is_full((...)) then kit.note("memory") end
  local reason = kit.finish()
  local output = kit.take_output()
  if reason then return nil, output, reason end
  if ok then return true, output, ... end
  local failure = ...
  if type(failure) ~= "table" then return false, output, failure, nil end
  return false, output, failure.value, failure.trace
end

local function enter(name, time, f, ...)
  kit.forget_walk()
  kit.forget_patterns()
  kit.set_time(time)
  called = name
  kit.begin()
  kit.look_every(arm())
  return leave(xpcall(f, on_error, ...))
end

local entry = {}
kit.entry = entry

-- Why the last call was stopped, if the hook struck when the guest had just ended; or nil.
function entry.reason() return kit.finish() end

-- Runs one module; "syntax" and the message if it doesn't compile.
function entry.run(name, time, source)
  local chunk, message = kit.compile(source, "=" .. name, guest)
  if not chunk then return "syntax", message end
  return enter("main chunk", time, chunk)
end

-- Calls a global function; "missing" if there is nothing under that name.
function entry.call(name, time, ...)
  local f = rawget(guest, name)
  if f == nil then return "missing" end
  return enter(name, time, f, ...)
end

-- A table that goes into many calls is kept here, and each call gets a copy of its own.

local kept, lent

local function copy_of(t)
  local copy = {}
  for key, value in next, t do
    copy[key] = type(value) == "table" and copy_of(value) or value
  end
  return copy
end

local function is_like(t, original)
  local count = 0
  for key, value in next, original do
    local now = rawget(t, key)
    if type(value) == "table" then
      if type(now) ~= "table" or not is_like(now, value) then return false end
    elseif now ~= value or math_type(now) ~= math_type(value) then
      return false
    end
    count = count + 1
  end
  for _ in next, t do count = count - 1 end
  return count == 0
end

function entry.keep(t) kept = t end

function entry.lend()
  lent = copy_of(kept)
  return lent
end

-- The key under which a result holds the copy as it was lent, if it does.
function entry.returned(result)
  for key, value in next, result do
    if rawequal(value, lent) then return is_like(value, kept) and key or nil end
  end
end

-- The names of all global functions, in order.
function entry.functions()
  local names, keys, count = {}, kit.view_keys_in_order(guest)
  for i = 1, count do
    if type(keys[i]) == "string" and type(guest[keys[i]]) == "function" then
      names[#names + 1] = keys[i]
    end
  end
  return names
end

-- Puts `value` at a dotted path below the globals, if the table that should hold it exists.
function entry.replace(path, value)
  local holder, last = guest, nil
  for part in gmatch(path, "[^.]+") do
    if last then holder = rawget(holder, last) end
    if type(holder) ~= "table" then return end
    last = part
  end
  if last then rawset(holder, last, value) end
end

-- Functions of the host.

local function answer(ok, ...)
  arm()
  if ok then return ... end
  if ok == nil then kit.stop("host") end
  error((...), 0)
end

local function host_function(name)
  return function(...)
    disarm()
    return answer(bridge(name, ...))
  end
end

local hosts = {}
kit.hosts = hosts

function entry.define(name) hosts[name] = host_function(name) end

-- Puts the functions of the host into the table `ao`, which a module may have made. Names with an
-- "@" are for the prelude.
function entry.install()
  local ao = rawget(guest, "ao")
  if type(ao) ~= "table" then
    ao = {}
    rawset(guest, "ao", ao)
  end
  for name, f in next, hosts do
    if sub(name, 1, 1) ~= "@" then rawset(ao, name, f) end
  end
end

-- Live tables stand for messages: absent keys are resolved and set by the host (spec/06 §5.5).

local live = {}
kit.live = live

local function enliven(t)
  for _, value in next, t do
    if type(value) == "table" then enliven(value) end
  end
  return setmetatable(t, live)
end

local function ask(name, ...)
  local f = hosts[name]
  if not f then error("the host resolves no keys of tables", 0) end
  return f(...)
end

function live.__index(t, key) return (ask("@get", t, key)) end

function live.__newindex(t, key, value)
  local content = ask("@set", t, key, value)
  for old in next, t do rawset(t, old, nil) end
  for name, item in next, content do
    rawset(t, name, type(item) == "table" and enliven(item) or item)
  end
end

-- Calls a global function with a live table, if the first argument is one.
function entry.call_live(name, time, first, ...)
  if type(first) == "table" then enliven(first) end
  return entry.call(name, time, first, ...)
end
