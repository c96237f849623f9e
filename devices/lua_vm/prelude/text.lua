-- Text of values, numbers from text, and the string functions that aren't patterns (spec/06 §5.9).

local kit = ...
local error, math_type, select, type = error, math.type, select, type
local byte, find, format, gsub, rep = string.byte, string.find, string.format, string.gsub, string.rep
local lower, match, reverse, sub, upper = string.lower, string.match, string.reverse, string.sub, string.upper
local pack, packsize, unpack = string.pack, string.packsize, string.unpack
local char, codepoint, len, offset = utf8.char, utf8.codepoint, utf8.len, utf8.offset
local abs, huge, spread, tointeger = math.abs, math.huge, table.unpack, math.tointeger
local tonumber, tostring = tonumber, tostring
local charge, longest = kit.charge, kit.string

local EXACT = 2.0 ^ 53          -- floats from here on are always written with an exponent
local NORMAL = 2.0 ^ -1022      -- below it fewer digits than 15 may be exact

-- The fewest digits that read back as `x`, and the decimal exponent of the first of them.
local function shortest(x)
  for precision = x < NORMAL and 0 or 14, 16 do
    local text = format("%." .. precision .. "e", x)
    if tonumber(text) == x then
      local first, rest, exponent = match(text, "^(%d)%.?(%d*)e(.+)$")
      return gsub(first .. rest, "(.)0+$", "%1"), tonumber(exponent)
    end
  end
end

-- A positive float as the reference writes it: plain or with an exponent, whichever is shorter.
local function positive(x)
  local digits, exponent = shortest(x)
  local count, place = #digits, exponent + 1 -- the point belongs before digit `place`
  local scientific = sub(digits, 1, 1) .. "." .. (count > 1 and sub(digits, 2) or "0") .. "e" .. exponent
  local plain
  if place <= 0 then
    plain = "0." .. rep("0", -place) .. digits
  elseif place >= count then
    plain = digits .. rep("0", place - count) .. ".0"
  else
    plain = sub(digits, 1, place) .. "." .. sub(digits, place + 1)
  end
  return x < EXACT and #plain <= #scientific and plain or scientific
end

local function float_text(x)
  if x ~= x then return "nan" end
  if abs(x) == huge then return x > 0 and "inf" or "-inf" end
  if x == 0 then return 1 / x > 0 and "0.0" or "-0.0" end
  return x > 0 and positive(x) or "-" .. positive(-x)
end

local function text_of(value)
  local method = kit.metamethod(value, "__tostring")
  if method then
    local text = method(value)
    if type(text) ~= "string" then error("'__tostring' must return a string", 0) end
    return text
  end
  if math_type(value) == "float" then return float_text(value) end
  local kind = type(value)
  if kind == "nil" or kind == "boolean" or kind == "number" or kind == "string" then
    return tostring(value)
  end
  return kind .. ": " .. kit.number_of(value)
end
kit.tostring = text_of

local basic = {}
kit.text = basic

function basic.tostring(...)
  if select("#", ...) == 0 then error("bad argument #1 to 'tostring' (value expected)", 0) end
  return text_of((...))
end

function basic.tonumber(...)
  local number = tonumber(...)
  if number and type((...)) ~= "number" then return number + 0.0 end
  return number
end

local strings = {
  char = string.char, len = string.len,
}
kit.strings = strings

-- A function of a string that costs as much as its result is long.
local function paid(f)
  return function(...)
    local result = f(...)
    charge(#result)
    return result
  end
end

strings.lower, strings.upper, strings.reverse = paid(lower), paid(upper), paid(reverse)
strings.sub = paid(sub)

function strings.pack(form, ...)
  if type(form) == "string" then charge(#form * 16) end
  local result = pack(form, ...)
  charge(#result)
  return result
end

function strings.packsize(form)
  if type(form) == "string" then charge(#form * 16) end
  return packsize(form)
end

function strings.byte(s, i, j)
  if j and type(s) == "string" then charge(#s * 4) end
  return byte(s, i, j)
end

function strings.unpack(f, s, ...)
  if type(f) == "string" then charge(#f * 16) end
  return unpack(f, s, ...)
end

function strings.rep(s, n, separator)
  local times, size = tointeger(tonumber(n)), type(s) == "string" and #s or 64
  if times and times > 1 then
    local total = times * (size + (type(separator) == "string" and #separator or 64) + 0.0)
    if separator == nil then total = times * (size + 0.0) end
    if total > longest then error("resulting string too large", 0) end
    charge(tointeger(total))
  end
  return rep(s, n, separator)
end

-- `%s` writes values as `tostring` does, not by their address or with 14 digits. A directive is at
-- most 20 characters long; native `format` complains about anything else.
local function readable(form, ...)
  local values, count, at = {...}, select("#", ...), 0
  local place = find(form, "%", 1, true)
  while place do
    local size, kind = match(sub(form, place + 1, place + 20), "^[-+ #0]*%d*%.?%d*()(.)")
    if kind ~= "%" then
      at = at + 1
      local value = values[at]
      if kind == "s" and type(value) ~= "string" and at <= count then values[at] = text_of(value) end
    end
    place = find(form, "%", place + 1 + (size or 1), true)
  end
  return format(form, spread(values, 1, count))
end

function strings.format(form, ...)
  if type(form) == "string" and #form > longest then error("format string too long", 0) end
  local result
  if type(form) == "string" and find(form, "s", 1, true) then
    charge(#form * 16)
    result = readable(form, ...)
  else
    result = format(form, ...)
  end
  charge(#result)
  return result
end

local function codepoints(s, i, j)
  if j and type(s) == "string" then charge(#s * 4) end
  return codepoint(s, i, j)
end

local function offset_of(s, n, i)
  local characters = tointeger(n)
  if characters and type(s) == "string" then
    if characters < 0 then characters = -characters end
    charge(characters < #s and characters or #s)
  end
  return offset(s, n, i)
end

local function length(s, i, j)
  if type(s) == "string" then charge(#s) end
  return len(s, i, j)
end

kit.utf8 = {
  char = char, charpattern = utf8.charpattern, codepoint = codepoints, codes = utf8.codes,
  len = length, offset = offset_of,
}
