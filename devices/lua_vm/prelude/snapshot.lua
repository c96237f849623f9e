-- The whole state of a VM as bytes (spec/06 §7.8); `restore.lua` reads them.
--
-- A snapshot lists every object that the globals reach, in an order that depends on nothing but the
-- state, so equal states give equal bytes. Functions go as bytecode with references to shared
-- upvalue cells; what the prelude and the host provide goes by name. The tables of the prelude
-- (`_G`, `string`, ...) are written as changes against the way they were when the VM was new.
--
-- Layout, little-endian: last number given to an object, state of chance, one letter for the kind of
-- each object, code strings, heads of the objects, and their bodies, by kind:
--   T  metatable, list items, "E", pairs, "E"
--   H  a table with holes: the same; its length and number of keys are in the head
--   B  a table of the prelude: metatable, changed pairs (nil: removed), "E"; its name is in the head
--   F  number of upvalues and their cells; the place of its code is in the head
--   C  an upvalue cell: its value
--   D  a coroutine that has ended: nothing
--   M  metatables of the types: boolean, number, string, function, thread, nil
-- and the numbers of objects (object, number, ..., "E").

local kit = ...
local concat, dump, error, getinfo = table.concat, string.dump, error, debug.getinfo
local char, getmetatable, getupvalue, math_type = string.char, debug.getmetatable, debug.getupvalue, math.type
local next, pack, pcall, rawget, rawlen = next, string.pack, pcall, rawget, rawlen
local sort, status, type, upvalue_id = table.sort, coroutine.status, type, debug.upvalueid
local guest = kit.guest

-- What the prelude provides: names of objects, objects by name, and its tables as they were.

local names, provided, pristine = {}, {}, {}
kit.names, kit.provided = names, provided

local function provide(name, object)
  local known = names[object]
  if known then
    if known <= name then return end -- one function under two names goes by the lesser
    provided[known] = nil
  end
  names[object], provided[name] = name, object
end

local function provide_table(name, table)
  local copy = {}
  pristine[name] = copy
  provide(name, table)
  for key, value in next, table do
    copy[key] = value
    if type(value) == "function" then provide(name .. "." .. key, value) end
  end
end

-- Called once, when the functions of the host are defined and before any module runs.
function kit.remember_provided()
  provide_table("_G", guest)
  provide_table("string metatable", getmetatable(""))
  for i = 1, #kit.libraries do
    local name = kit.libraries[i]
    provide_table("_G." .. name, guest[name])
  end
  provide_table("live tables", kit.live)
  provide_table("_G.package.loaded", guest.package.loaded)
  provide_table("_G.package.preload", guest.package.preload)
  for name, f in next, kit.hosts do provide("ao:" .. name, f) end
end

-- A value of each type whose values share a metatable; the last one stands for nil.
local dead = coroutine.create(type)
coroutine.resume(dead, 0)
kit.samples = {true, 0, "", type, dead, nil}

local joined, out, size      -- what is written: long pieces, then short ones
local objects, kinds, ids, count
local parents, labels, current
local cells                  -- values of upvalue cells by object id
local texts, text_count, codes, code_count, heads

local function begin()
  joined, out, size, objects, kinds, ids, count = {}, {}, 0, {}, {}, {}, 0
  parents, labels, current, cells = {}, {}, nil, {}
  texts, text_count, codes, code_count, heads = {}, 0, {}, 0, {}
end

local function forget()
  joined, out, objects, kinds, ids, parents, labels, cells, texts, codes, heads = nil
end

local BATCH = 4096 -- pieces that are joined as soon as there are so many

local function put(bytes)
  if size == BATCH then
    joined[#joined + 1] = concat(out)
    size = 0
  end
  size = size + 1
  out[size] = bytes
end

local function written() return concat(joined) .. concat(out, "", 1, size) end

local function label_of(key)
  local kind = type(key)
  if kind == "string" then return "." .. key end
  if kind == "number" then return "[" .. key .. "]" end
  return key ~= nil and "[" .. kind .. "]" or ""
end

local HEIGHT = 20 -- how much of a path to an object is shown

local function refuse(what, key)
  local path, id = {label_of(key)}, current
  while id and #path < HEIGHT do
    path[#path + 1] = label_of(labels[id])
    id = parents[id]
  end
  local forward = {}
  for i = #path, 1, -1 do forward[#forward + 1] = path[i] end
  error({refused = what, path = concat(forward)}, 0)
end

-- Tables that Lua might measure differently once they are rebuilt.
local function has_holes(t)
  local whole, largest = 0, 0
  for key in next, t do
    if math_type(key) == "integer" and key > 0 then
      whole = whole + 1
      if key > largest then largest = key end
    end
  end
  return whole ~= largest or rawlen(t) ~= largest
end

-- The kind of an object that is met for the first time; refuses what can't be written.
local function kind_of(object, key)
  local kind = type(object)
  if kind == "table" then
    if names[object] then return "B" end
    return has_holes(object) and "H" or "T"
  end
  if kind == "thread" then
    if status(object) == "dead" then return "D" end
    refuse("a coroutine that has not ended", key)
  end
  if kind ~= "function" then refuse("a value of type " .. kind, key) end
  local info = getinfo(object, "S")
  if info.what == "C" or info.source == "=?" then
    refuse("an iterator or another function that only Lua can make", key)
  end
  return "F"
end

local function head_of_holes(t)
  local keys = 0
  for _ in next, t do keys = keys + 1 end
  return pack("<i8i8", rawlen(t), keys)
end

local function head_of_function(f)
  local code = dump(f)
  local place = codes[code]
  if not place then
    place, code_count = code_count, code_count + 1
    codes[code], codes[code_count] = place, code
  end
  return pack("<I4", place)
end

local function enlist(object, kind, key)
  count = count + 1
  objects[count], kinds[count], ids[object] = object, kind, count
  parents[count], labels[count] = current, key
  if kind == "F" then heads[#heads + 1] = head_of_function(object) end
  if kind == "H" then heads[#heads + 1] = head_of_holes(object) end
  if kind == "B" then heads[#heads + 1] = pack("<s4", names[object]) end
  return count
end

local small = {} -- how small integers are written, by need

local function put_string(text)
  local id = texts[text]
  if id then return put(pack("<c1I4", "t", id)) end
  texts[text], text_count = text_count, text_count + 1
  put(pack("<c1s4", "s", text))
end

local function number_bytes(value)
  if value < -128 or value > 127 then return pack("<c1i8", "i", value) end
  small[value] = pack("<c1i1", "b", value)
  return small[value]
end

local function put_value(value, key)
  local kind = type(value)
  if kind == "string" then return put_string(value) end
  if kind == "number" then
    if math_type(value) == "float" then return put(pack("<c1d", "d", value)) end
    return put(small[value] or number_bytes(value))
  end
  if kind == "boolean" then return put(value and "1" or "0") end
  if kind == "nil" then return put("z") end
  if kind == "function" and names[value] then
    put("n")
    return put_string(names[value])
  end
  put(pack("<c1I4", "r", ids[value] or enlist(value, kind_of(value, key), key)))
end

local function put_pairs(t, keys, length)
  for i = 1, length do
    local key = keys[i]
    put_value(key, "key")
    put_value(rawget(t, key), key)
  end
  put("E")
end

local bodies = {}

function bodies.T(t)
  put_value(getmetatable(t), "metatable")
  local full, value = 0, rawget(t, 1)
  while value ~= nil do
    full = full + 1
    put_value(value, full)
    value = rawget(t, full + 1)
  end
  put("E")
  put_pairs(t, kit.view_keys_in_order(t, full))
end

bodies.H = bodies.T

function bodies.B(t)
  local before, changed = pristine[names[t]], {}
  put_value(getmetatable(t), "metatable")
  for key, value in next, t do
    if before[key] ~= value then changed[key] = true end
  end
  for key in next, before do
    if rawget(t, key) == nil then changed[key] = true end
  end
  put_pairs(t, kit.view_keys_in_order(changed))
end

function bodies.F(f)
  local upvalues = getinfo(f, "u").nups
  put(char(upvalues))
  for i = 1, upvalues do
    local cell = upvalue_id(f, i)
    local id = ids[cell]
    if not id then
      local name, value = getupvalue(f, i)
      id = enlist(cell, "C", name)
      cells[id] = value
    end
    put(pack("<I4", id))
  end
end

function bodies.C(_, id) put_value(cells[id]) end

function bodies.D() end

function bodies.M()
  for i = 1, 6 do put_value(getmetatable(kit.samples[i]), "metatable") end
end

-- Numbers of the objects that are still reachable, lowest first.
local function put_numbers(numbers)
  local reached, length = {}, 0
  for object, number in next, numbers do
    if ids[object] or names[object] then
      length = length + 1
      reached[length] = {number, object}
    end
  end
  sort(reached, function(a, b) return a[1] < b[1] end)
  for i = 1, length do
    put_value(reached[i][2])
    put_value(reached[i][1])
  end
  put("E")
end

-- Every table of the prelude is a root: the prelude uses some, whether the guest reaches them or not.
local function enlist_roots()
  local roots = {}
  for name, object in next, provided do
    if type(object) == "table" and object ~= guest then roots[#roots + 1] = name end
  end
  sort(roots)
  enlist(guest, "B")
  for i = 1, #roots do enlist(provided[roots[i]], "B", roots[i]) end
  enlist(bodies, "M")
end

local function write()
  begin()
  enlist_roots()
  current = 1
  while current <= count do
    bodies[kinds[current]](objects[current], current)
    current = current + 1
  end
  local numbers, last = kit.numbering()
  put_numbers(numbers)
  for i = 1, code_count do codes[i] = pack("<s4", codes[i]) end
  local head = pack("<i8i8s4I4", last, kit.chance(), concat(kinds), code_count)
  return concat {head, concat(codes, "", 1, code_count), concat(heads), written()}
end

-- The bytes of the state; or false, what can't be written, and where it is.
function kit.entry.snapshot()
  local ok, result = pcall(write)
  forget()
  if ok then return result end
  if type(result) == "table" then return false, result.refused, result.path end
  error(result, 0)
end
