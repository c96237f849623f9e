-- The globals that a guest gets: an allow-list, nothing else (spec/06 §5.9, §7.8).
--
-- Time comes from the call, chance from a seed, output goes into a buffer; files, processes, binary
-- chunks and the rest of `debug` aren't there.

local kit = ...
local error, getmetatable, load, math_type = error, debug.getmetatable, load, math.type
local rawget, rawset, select, setmetatable, type = rawget, rawset, select, setmetatable, type
local find, floor, sub, tonumber, tointeger = string.find, math.floor, string.sub, tonumber, math.tointeger
local concat, insert, move, remove, spread = table.concat, table.insert, table.move, table.remove, table.unpack
local raw_date, exp, log, maxinteger, ult = os.date, math.exp, math.log, math.maxinteger, math.ult
local set_any_metatable = debug.setmetatable
local charge, text_of = kit.charge, kit.tostring

-- Metatables. Finalizers and weak tables would show when the collector runs, so neither is there.
-- The reference ignores both.

local function tame(metatable)
  if type(metatable) ~= "table" then return nil end
  if rawget(metatable, "__mode") ~= nil then rawset(metatable, "__mode", nil) end
  local finalizer = rawget(metatable, "__gc")
  if finalizer ~= nil then rawset(metatable, "__gc", nil) end
  return finalizer
end

-- Lua notes a finalizer when the metatable is set, so it can be put back afterwards.
local function with_tame(set)
  return function(value, metatable)
    local finalizer = tame(metatable)
    set(value, metatable)
    if finalizer ~= nil then rawset(metatable, "__gc", finalizer) end
    return value
  end
end

kit.set_metatable = with_tame(set_any_metatable)

-- Chunks: text only, in the guest's globals.

local function gather(reader)
  local parts = {}
  while true do
    local part = reader()
    if part == nil or part == "" then return concat(parts) end
    if type(part) ~= "string" then error("reader function must return a string", 0) end
    parts[#parts + 1] = part
  end
end

local COMPILE = 24 -- what a byte costs to compile, as bytes of `charge`

-- Compiles text; the name "=?" would hide a chunk among the prelude's own.
function kit.compile(source, name, env)
  charge(#source * COMPILE)
  if name == "=?" then name = "=(load)" end
  return load(source, name, "t", env)
end

local function load_chunk(source, name, _, ...)
  if type(source) == "function" then
    source, name = gather(source), name or "=(load)"
  end
  if type(source) ~= "string" then
    error("bad argument #1 to 'load' (function expected, got " .. type(source) .. ")", 0)
  end
  local env = kit.guest
  if select("#", ...) > 0 then env = (...) end
  local chunk, message = kit.compile(source, name or source, env)
  if not chunk then kit.sift(message) end
  return chunk, message
end

local loaded, preload = {}, {}

local function require(name)
  if type(name) ~= "string" then
    error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 0)
  end
  if loaded[name] ~= nil then return loaded[name] end
  local loader = preload[name]
  if loader == nil then error("module '" .. name .. "' not found", 0) end
  local value = loader(name, ":preload:")
  if value ~= nil then loaded[name] = value end
  if loaded[name] == nil then loaded[name] = true end
  return loaded[name]
end

-- Output: collected for one call, cut at the longest string allowed.

local written, pieces, output_size = {}, 0, 0

local function write(piece)
  output_size = output_size + #piece
  if output_size > kit.string then return end
  pieces = pieces + 1
  written[pieces] = piece
end

function kit.take_output()
  if pieces == 0 then return nil end
  local output = concat(written, "", 1, pieces)
  written, pieces, output_size = {}, 0, 0
  return output
end

local function print(...)
  local values = {...}
  for i = 1, select("#", ...) do
    if i > 1 then write("\t") end
    write(text_of(values[i]))
  end
  write("\n")
end

local function write_all(...)
  local values = {...}
  for i = 1, select("#", ...) do
    if type(values[i]) ~= "string" and type(values[i]) ~= "number" then
      error("bad argument #" .. i .. " to 'write' (string expected, got " .. type(values[i]) .. ")", 0)
    end
    write(text_of(values[i]))
  end
end

-- Time: what the call was given, in UTC.

local now = 0

function kit.set_time(seconds) now = seconds end

local function days_from_civil(year, month, day)
  if month <= 2 then year = year - 1 end
  local era, shifted = year // 400, (month + 9) % 12
  local year_of_era = year - era * 400
  local day_of_year = (153 * shifted + 2) // 5 + day - 1
  return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
end

local function field(t, name, default)
  local value = t[name]
  if value == nil and default then return default end
  local whole = value ~= nil and tointeger(tonumber(value))
  if not whole then error("field '" .. name .. "' missing or not an integer in date table", 0) end
  return whole
end

local clock = {}

function clock.time(t)
  if t == nil then return floor(now) end
  local month = field(t, "month") - 1
  local days = days_from_civil(field(t, "year") + month // 12, month % 12 + 1, field(t, "day"))
  return days * 86400 + field(t, "hour", 12) * 3600 + field(t, "min", 0) * 60 + field(t, "sec", 0)
end

function clock.clock() return now + 0.0 end

function clock.date(form, time)
  form = form or "%c"
  if type(form) == "string" then
    charge(#form * 64)
    if sub(form, 1, 1) ~= "!" then form = "!" .. form end
  end
  return raw_date(form, time == nil and floor(now) or time)
end

clock.difftime = os.difftime

-- Chance: splitmix64 (Steele, Lea, Flood 2014), whose whole state is one integer.

local chance = 0

function kit.chance() return chance end
function kit.set_chance(state) chance = state end

local function draw()
  chance = chance + 0x9E3779B97F4A7C15
  local z = chance
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return z ~ (z >> 31)
end

-- A number in 0..`span` (unsigned), each as likely as the others.
local function draw_below(span)
  if span & (span + 1) == 0 then return draw() & span end
  local mask = span
  for shift = 0, 5 do mask = mask | (mask >> (1 << shift)) end
  local value = draw() & mask
  while ult(span, value) do value = draw() & mask end
  return value
end

local function whole(value, position)
  local number = tointeger(tonumber(value))
  if number then return number end
  error("bad argument #" .. position .. " to 'random' (number has no integer representation)", 0)
end

local maths = {}

function maths.random(...)
  local count = select("#", ...)
  if count == 0 then return (draw() >> 11) * 2.0 ^ -53 end
  if count > 2 then error("wrong number of arguments", 0) end
  local low, high = ...
  if count == 1 then low, high = 1, low end
  low, high = whole(low, 1), whole(high, count)
  if low > high then error("bad argument #" .. count .. " to 'random' (interval is empty)", 0) end
  return low + draw_below(high - low)
end

function maths.randomseed(seed)
  local number = tonumber(seed) or 0
  chance = math_type(number) == "integer" and number or string.unpack("<i8", string.pack("<d", number))
end

for _, name in ipairs {
  "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "log", "max",
  "maxinteger", "min", "mininteger", "modf", "pi", "rad", "sin", "sqrt", "tan", "tointeger", "type", "ult",
} do
  maths[name] = math[name]
end

maths.huge = 1.7976931348623157e308
maths.atan2 = math.atan
function maths.pow(x, y) return (x + 0.0) ^ y end
function maths.log10(x) return log(x, 10) end
function maths.cosh(x) return (exp(x) + exp(-x)) / 2 end
function maths.sinh(x) return (exp(x) - exp(-x)) / 2 end
function maths.tanh(x)
  if x > 20 then return 1.0 end
  if x < -20 then return -1.0 end
  local up, down = exp(x), exp(-x)
  return (up - down) / (up + down)
end
function maths.ldexp(m, e) return m * 2.0 ^ e end

function maths.frexp(x)
  x = x + 0.0
  if x == 0 or x ~= x or x == math.huge or x == -math.huge then return x, 0 end
  local exponent = 0
  if math.abs(x) < 2.0 ^ -1022 then x, exponent = x * 2.0 ^ 54, -54 end
  local bits = string.unpack("<i8", string.pack("<d", x))
  exponent = exponent + ((bits >> 52) & 0x7FF) - 1022
  local mantissa = string.unpack("<d", string.pack("<i8", bits & ~(0x7FF << 52) | 1022 << 52))
  return mantissa, exponent
end

-- Tables: what moves many items pays for them. Native functions ask for a table's length, so one
-- whose metatable may answer with any number is handled here, where the hook counts.

local ITEM = 16 -- what moving an item costs, as bytes of `charge`

local function span(first, last)
  first, last = tointeger(first), tointeger(last)
  if not first or not last or last <= first then return end
  local items = last - first
  charge(items > 0 and items < 1 << 40 and items * ITEM or maxinteger)
end

local tables = {pack = table.pack, sort = kit.iteration.sort}

local function insert_slowly(t, ...)
  local size, position, value = #t, ...
  if select("#", ...) == 1 then position, value = size + 1, position end
  position = tointeger(tonumber(position))
  if not position or position < 1 or position > size + 1 then
    error("bad argument #2 to 'insert' (position out of bounds)", 0)
  end
  for i = size, position, -1 do t[i + 1] = t[i] end
  t[position] = value
end

function tables.insert(t, ...)
  local count = select("#", ...)
  if type(t) == "table" and (count == 1 or count == 2) then
    if getmetatable(t) then return insert_slowly(t, ...) end
    if count == 2 then span((...), #t) end
  end
  return insert(t, ...)
end

local function remove_slowly(t, position)
  local size = #t
  position = position == nil and size or tointeger(tonumber(position))
  if not position or position ~= size and (position < 1 or position > size + 1) then
    error("bad argument #2 to 'remove' (position out of bounds)", 0)
  end
  local value = t[position]
  while position < size do
    t[position] = t[position + 1]
    position = position + 1
  end
  t[position] = nil
  return value
end

function tables.remove(t, ...)
  if type(t) == "table" then
    if getmetatable(t) then return remove_slowly(t, (...)) end
    span((...), #t)
  end
  return remove(t, ...)
end

function tables.move(a, first, last, ...)
  span(first, last)
  return move(a, first, last, ...)
end

function tables.unpack(t, first, last)
  if last == nil and type(t) == "table" then last = #t end
  span(first or 1, last)
  return spread(t, first, last)
end

function tables.concat(t, separator, first, last)
  if last == nil and type(t) == "table" then last = #t end
  span(first or 1, last)
  local result = concat(t, separator, first, last)
  charge(#result)
  return result
end

-- Bits: Lua 5.2's library, which the reference has.

local WORD = 0xFFFFFFFF

local function word(value)
  local number = tonumber(value)
  local integer = number and tointeger(number)
  if not integer then error("number has no integer representation", 0) end
  return integer & WORD
end

local function folded(start, combine)
  return function(...)
    local result, values = start, {...}
    for i = 1, select("#", ...) do result = combine(result, word(values[i])) end
    return result
  end
end

local band = folded(WORD, function(a, b) return a & b end)

local bits = {
  band = band,
  bor = folded(0, function(a, b) return a | b end),
  bxor = folded(0, function(a, b) return a ~ b end),
}

function bits.bnot(x) return ~word(x) & WORD end
function bits.btest(...) return band(...) ~= 0 end

local function shift_left(x, by)
  x = word(x)
  if by <= -32 or by >= 32 then return 0 end
  return (by >= 0 and x << by or x >> -by) & WORD
end

bits.lshift = shift_left

function bits.rshift(x, by) return shift_left(x, -by) end

function bits.arshift(x, by)
  x = word(x)
  if by < 0 or x < 0x80000000 then return shift_left(x, -by) end
  if by >= 32 then return WORD end
  return (x >> by | ~(WORD >> by)) & WORD
end

local function rotate_left(x, by)
  x, by = word(x), by % 32
  return (x << by | x >> (32 - by)) & WORD
end

bits.lrotate = rotate_left
function bits.rrotate(x, by) return rotate_left(x, -by) end

local function mask_of(at, width)
  width = width or 1
  if at < 0 or width < 1 or at + width > 32 then error("trying to access non-existent bits", 0) end
  return ~(WORD << width) & WORD
end

function bits.extract(x, at, width) return word(x) >> at & mask_of(at, width) end

function bits.replace(x, value, at, width)
  local mask = mask_of(at, width)
  return word(x) & ~(mask << at) & WORD | (word(value) & mask) << at
end

-- The globals themselves.

local guest = {
  _VERSION = "Lua 5.3",
  assert = kit.protected.assert, error = kit.protected.error,
  pcall = kit.protected.pcall, xpcall = kit.protected.xpcall,
  collectgarbage = function() return 0 end,
  eprint = print, print = print,
  getmetatable = _G.getmetatable, setmetatable = with_tame(setmetatable),
  ipairs = ipairs, next = kit.iteration.next, pairs = kit.iteration.pairs,
  load = load_chunk, loadstring = function(source, name) return load_chunk(source, name) end,
  rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset,
  require = require, select = select, type = type, unpack = tables.unpack,
  tonumber = kit.text.tonumber, tostring = kit.text.tostring,
  bit32 = bits, coroutine = kit.coroutine, math = maths, os = clock, string = kit.strings,
  table = tables, utf8 = kit.utf8,
  debug = {getmetatable = getmetatable, setmetatable = with_tame(set_any_metatable)},
  io = {write = write_all, flush = function() end},
  package = {loaded = loaded, preload = preload},
}
guest._G = guest
kit.guest = guest

kit.libraries = {
  "bit32", "coroutine", "debug", "io", "math", "os", "package", "string", "table", "utf8",
}
for i = 1, #kit.libraries do loaded[kit.libraries[i]] = guest[kit.libraries[i]] end
loaded._G = guest

getmetatable("").__index = kit.strings
