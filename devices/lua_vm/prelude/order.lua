-- One order for everything that Lua itself orders by memory address (spec/06 §5.9, §7.8).
--
-- Keys of a table: positive integers, other numbers, false, true, tables, userdata, functions,
-- threads, then strings in byte order. Objects get a number per VM the first time that their
-- identity can be seen, by `tostring` or by being ordered; the numbers are part of a snapshot.

local kit = ...
local concat, error, getinfo, getmetatable = table.concat, error, debug.getinfo, debug.getmetatable
local math_type, maxinteger, next, rawget, type = math.type, math.maxinteger, next, rawget, type
local setmetatable, sort, tostring = setmetatable, table.sort, tostring

local numbers, last = setmetatable({}, {__mode = "k"}), 0
local KINDS = {"table", "userdata", "function", "thread"}

local function number_of(object)
  local number = numbers[object]
  if not number then
    last = last + 1
    number, numbers[object] = last, last
  end
  return number
end
kit.number_of = number_of

function kit.numbering() return numbers, last end

function kit.renumber(object, number) numbers[object] = number end

function kit.set_last_number(number) last = number end

-- The raw metamethod of a value, or nil.
function kit.metamethod(value, name)
  local metatable = getmetatable(value)
  return metatable and rawget(metatable, name)
end

local DEPTH, ROOM = 3, 10000
local room -- entries that `describe` may still look at

-- Text that tells objects apart by what they hold, used once, when several unnumbered ones must be
-- ordered. Objects with equal text are ordered arbitrarily: nothing but identity differs.
local function describe(object, depth)
  local kind = type(object)
  if kind == "function" then
    local info = getinfo(object, "S")
    return kit.names[object] or info.short_src .. ":" .. info.linedefined
  end
  if kind ~= "table" or depth == 0 then return kind end
  local parts, count = {}, 0
  for key, value in next, object do
    room = room - 1
    if room < 0 then break end
    if type(key) == "string" or type(key) == "number" or type(key) == "boolean" then
      local plain = type(value) == "string" or type(value) == "number" or type(value) == "boolean"
      count = count + 1
      parts[count] = tostring(key) .. "=" .. (plain and tostring(value) or describe(value, depth - 1))
    end
  end
  sort(parts)
  return kind .. "{" .. concat(parts, ",") .. "}"
end

local function description(object)
  room = ROOM
  return describe(object, DEPTH)
end

local function by_number(a, b) return numbers[a] < numbers[b] end

-- Orders a list of objects of one kind by their numbers, and gives numbers to those without.
local function order_objects(list, count)
  local fresh, texts = {}, {}
  for i = 1, count do
    if not numbers[list[i]] then fresh[#fresh + 1] = list[i] end
  end
  if #fresh > 1 then
    for i = 1, #fresh do texts[fresh[i]] = description(fresh[i]) end
    sort(fresh, function(a, b) return texts[a] < texts[b] end)
  end
  for i = 1, #fresh do number_of(fresh[i]) end
  sort(list, by_number)
end

-- The same without giving numbers: for walks that must not change the VM.
local function view_objects(list, count)
  local texts = {}
  for i = 1, count do
    if not numbers[list[i]] then texts[list[i]] = description(list[i]) end
  end
  sort(list, function(a, b)
    local x, y = numbers[a], numbers[b]
    if x and y then return x < y end
    if x or y then return x ~= nil end
    return texts[a] < texts[b]
  end)
end

-- Adds the odd keys (booleans and objects) to `keys` in order; gives the new count.
local function append_odd(keys, count, odd, arrange)
  for _, value in next, {false, true} do
    for i = 1, #odd do
      if odd[i] == value then count = count + 1; keys[count] = value end
    end
  end
  for k = 1, #KINDS do
    local list = {}
    for i = 1, #odd do
      if type(odd[i]) == KINDS[k] then list[#list + 1] = odd[i] end
    end
    arrange(list, #list)
    for i = 1, #list do count = count + 1; keys[count] = list[i] end
  end
  return count
end

local function append(keys, count, list, length)
  for i = 1, length do keys[count + i] = list[i] end
  return count + length
end

-- The keys of `t` in order, without the integers 1..`skip`: the list, and its length.
local function mixed_keys(t, skip, arrange)
  local ints, others, strings, odd = {}, {}, {}, nil
  local n_ints, n_others, n_strings = 0, 0, 0
  for key in next, t do
    local kind = type(key)
    if kind == "string" then
      n_strings = n_strings + 1
      strings[n_strings] = key
    elseif kind ~= "number" then
      odd = odd or {}
      odd[#odd + 1] = key
    elseif math_type(key) ~= "integer" or key < 1 then
      n_others = n_others + 1
      others[n_others] = key
    elseif key > skip then
      n_ints = n_ints + 1
      ints[n_ints] = key
    end
  end
  kit.charge((n_ints + n_others + n_strings) * 16)
  sort(strings)
  if n_ints + n_others == 0 and not odd then return strings, n_strings end
  sort(ints)
  sort(others)
  local count = append(ints, n_ints, others, n_others)
  if odd then count = append_odd(ints, count, odd, arrange) end
  return ints, append(ints, count, strings, n_strings)
end

-- The same; most tables have strings for keys, so those don't go through the sorting of kinds.
local function ordered_keys(t, skip, arrange)
  local strings, count = {}, 0
  for key in next, t do
    if type(key) == "string" then
      count = count + 1
      strings[count] = key
    elseif math_type(key) ~= "integer" or key < 1 or key > skip then
      return mixed_keys(t, skip, arrange)
    end
  end
  if count > 1 then
    kit.charge(count * 16)
    sort(strings)
  end
  return strings, count
end

function kit.keys_in_order(t, skip) return ordered_keys(t, skip or 0, order_objects) end
function kit.view_keys_in_order(t, skip) return ordered_keys(t, skip or 0, view_objects) end

local guest = {}
kit.iteration = guest

-- A list is stepped through by index, so that it costs no sorting; whatever else the table holds is
-- collected when the list ends. What a key holds is looked up when its turn comes.
function guest.pairs(t)
  local method = kit.metamethod(t, "__pairs")
  if method then
    local step, state, first = method(t)
    return step, state, first
  end
  if type(t) ~= "table" then
    error("bad argument #1 to 'pairs' (table expected, got " .. type(t) .. ")", 0)
  end
  local index, keys, count, place = 0, nil, 0, 0
  local function step()
    if not keys then
      index = index + 1
      local value = rawget(t, index)
      if value ~= nil then return index, value end
      keys, count = ordered_keys(t, index, order_objects)
    end
    while place < count do
      place = place + 1
      local key = keys[place]
      local value = rawget(t, key)
      if value ~= nil then return key, value end
    end
  end
  return step, t, nil
end

local stepped, steps, places -- the table that `next` walks now, its keys, and where each of them is

-- Forgets the walk: it is no part of a snapshot, so it may not outlive a call.
function kit.forget_walk() stepped, steps, places = nil, nil, nil end

local function prepare(t)
  local keys, count = ordered_keys(t, 0, order_objects)
  local where = {}
  for i = 1, count do where[keys[i]] = i end
  stepped, steps, places = t, keys, where
end

local RANKS = {boolean = 3, table = 4, userdata = 5, ["function"] = 6, thread = 7, string = 8}

local function rank(key)
  if math_type(key) == "integer" and key >= 1 then return 1 end
  return RANKS[type(key)] or 2
end

-- Whether key `a` comes before key `b`.
local function precedes(a, b)
  local x, y = rank(a), rank(b)
  if x ~= y then return x < y end
  if x == 3 then return not a and b end
  if x > 3 and x < 8 then return number_of(a) < number_of(b) end
  return a < b
end

-- Where the walk goes on after a key that the table no longer has.
local function place_after(key)
  for i = 1, #steps do
    if precedes(key, steps[i]) then return i end
  end
  return #steps + 1
end

-- The first key in order without ordering them all, for `next(t) == nil` and its like; nothing if
-- objects are among the keys.
local function least(t)
  local best
  for key in next, t do
    local place = rank(key)
    if place > 3 and place < 8 then return nil end
    if best == nil or precedes(key, best) then best = key end
  end
  return best
end

function guest.next(t, key)
  if type(t) ~= "table" then
    error("bad argument #1 to 'next' (table expected, got " .. type(t) .. ")", 0)
  end
  local from = 1
  if key == nil then
    local first = least(t)
    if first ~= nil then return first, rawget(t, first) end
    prepare(t)
  else
    if math_type(key) == "integer" and key >= 1 and key < maxinteger then
      local value = rawget(t, key + 1)
      if value ~= nil then return key + 1, value end
    end
    if stepped ~= t or not places[key] then prepare(t) end
    from = places[key] and places[key] + 1 or place_after(key)
  end
  for i = from, #steps do
    local value = rawget(t, steps[i])
    if value ~= nil then return steps[i], value end
  end
  return nil
end

-- Whether native `table.sort` gives one result only: all strings, or all integers.
local function is_plain(list, length)
  local kind = math_type(list[1]) or type(list[1])
  if kind ~= "string" and kind ~= "integer" then return false end
  for i = 2, length do
    if (math_type(list[i]) or type(list[i])) ~= kind then return false end
  end
  return true
end

local function less(a, b) return a < b end

-- Merges two neighbouring runs, [low, middle) and [middle, high), of `from` into `to`.
local function merge(from, to, low, middle, high, before)
  local i, j = low, middle
  for k = low, high - 1 do
    if j >= high or i < middle and not before(from[j], from[i]) then
      to[k], i = from[i], i + 1
    else
      to[k], j = from[j], j + 1
    end
  end
end

local function merge_sort(list, length, before)
  local from, to, width = list, {}, 1
  while width < length do
    for low = 1, length, 2 * width do
      local middle = low + width
      local high = middle + width
      if middle > length then middle = length + 1 end
      if high > length then high = length + 1 end
      merge(from, to, low, middle, high, before)
    end
    from, to, width = to, from, 2 * width
  end
  return from
end

-- Native sort picks pivots by the clock for lists above 100 items, so equal items may change places
-- from run to run; a merge sort is stable, as the reference's is.
function guest.sort(t, before)
  local length, list = #t, {}
  if length >= 1 << 31 then error("bad argument #1 to 'sort' (array too big)", 0) end
  if before ~= nil and type(before) ~= "function" then
    error("bad argument #2 to 'sort' (function expected, got " .. type(before) .. ")", 0)
  end
  for i = 1, length do list[i] = t[i] end
  if not before and length > 1 and is_plain(list, length) then
    kit.charge(length * 16)
    sort(list)
  elseif length > 1 then
    list = merge_sort(list, length, before or less)
  end
  for i = 1, length do t[i] = list[i] end
end
