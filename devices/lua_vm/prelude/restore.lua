-- A VM's state from the bytes that `snapshot.lua` wrote.
--
-- All objects are made first, then filled in, since they refer to each other in any order.

local kit = ...
local byte, collect, create, error = string.byte, collectgarbage, coroutine.create, error
local join, load, next, pcall, rawset, rep = debug.upvaluejoin, load, next, pcall, rawset, string.rep
local resume, setupvalue, spread, sub = coroutine.resume, debug.setupvalue, table.unpack, string.sub
local type, unpack = type, string.unpack
local provided, set_metatable = kit.provided, kit.set_metatable

local data, at               -- what is read, and where
local kinds, objects, texts, text_count, codes
local owners, slots          -- the function and upvalue that a cell was first seen in

local STOP = {} -- the mark at the end of a row

local read_value

local function read_new_string()
  local text
  text, at = unpack("<s4", data, at)
  texts[text_count], text_count = text, text_count + 1
  return text
end

local readers = {
  r = function()
    local id
    id, at = unpack("<I4", data, at)
    return objects[id]
  end,
  t = function()
    local id
    id, at = unpack("<I4", data, at)
    return texts[id]
  end,
  s = read_new_string,
  b = function()
    local value
    value, at = unpack("<i1", data, at)
    return value
  end,
  i = function()
    local value
    value, at = unpack("<i8", data, at)
    return value
  end,
  d = function()
    local value
    value, at = unpack("<d", data, at)
    return value
  end,
  n = function()
    local name = read_value()
    return provided[name] or error({missing = name}, 0)
  end,
  ["1"] = function() return true end,
  ["0"] = function() return false end,
  z = function() return nil end,
  E = function() return STOP end,
}

local by_byte = {}
for letter, reader in next, readers do by_byte[byte(letter)] = reader end

function read_value()
  local tag = byte(data, at)
  at = at + 1
  return by_byte[tag]()
end

local MOST_HOLES = 100000 -- larger tables with holes are rebuilt as they come

-- A table that keeps `length` items in its array and has room for `keys` others, so that Lua
-- measures it as it measured the original.
local function table_with_holes(length, keys)
  if length + keys > MOST_HOLES then return {} end
  local make = load("return {" .. rep("x=nil,", keys + 1) .. "...}", "=?", "t", {})
  return make(spread({}, 1, length))
end

local shells = {
  T = function() return {} end,
  C = function() return false end,
  M = function() return false end,
  B = function()
    local name
    name, at = unpack("<s4", data, at)
    return provided[name] or error({missing = name}, 0)
  end,
  H = function()
    local length, keys
    length, keys, at = unpack("<i8i8", data, at)
    return table_with_holes(length, keys)
  end,
  F = function()
    local place
    place, at = unpack("<I4", data, at)
    return load(codes[place + 1], "=?", "b")
  end,
  D = function()
    local co = create(type)
    resume(co, 0)
    return co
  end,
}

local function read_head()
  local last, chance, count
  last, chance, kinds, count, at = unpack("<i8i8s4I4", data, 1)
  codes = {}
  for i = 1, count do codes[i], at = unpack("<s4", data, at) end
  return last, chance
end

local function fill_pairs(t)
  local key = read_value()
  while key ~= STOP do
    rawset(t, key, read_value())
    key = read_value()
  end
end

local bodies = {}

function bodies.T(t)
  local metatable = read_value()
  local index, value = 1, read_value()
  while value ~= STOP do
    rawset(t, index, value)
    index, value = index + 1, read_value()
  end
  fill_pairs(t)
  if metatable then set_metatable(t, metatable) end
end

bodies.H = bodies.T

function bodies.B(t)
  set_metatable(t, read_value())
  fill_pairs(t)
end

function bodies.F(f)
  local count = byte(data, at)
  at = at + 1
  for i = 1, count do
    local cell
    cell, at = unpack("<I4", data, at)
    if owners[cell] then
      join(f, i, owners[cell], slots[cell])
    else
      owners[cell], slots[cell] = f, i
    end
  end
end

function bodies.C(_, id) setupvalue(owners[id], slots[id], read_value()) end

function bodies.D() end

function bodies.M()
  for i = 1, 6 do set_metatable(kit.samples[i], read_value()) end
end

local function read_numbers()
  local object = read_value()
  while object ~= STOP do
    kit.renumber(object, read_value())
    object = read_value()
  end
end

local function read(bytes)
  data, objects, texts, text_count, owners, slots = bytes, {}, {}, 0, {}, {}
  local last, chance = read_head()
  for id = 1, #kinds do objects[id] = shells[sub(kinds, id, id)]() end
  for id = 1, #kinds do bodies[sub(kinds, id, id)](objects[id], id) end
  read_numbers()
  kit.set_last_number(last)
  kit.set_chance(chance)
end

-- Puts a state into this new VM. True; or false and the name of something that isn't there.
function kit.entry.restore(bytes)
  collect("stop")
  local ok, result = pcall(read, bytes)
  collect("restart")
  data, kinds, objects, texts, codes, owners, slots = nil
  if ok then return true end
  if type(result) == "table" then return false, result.missing end
  error(result, 0)
end
