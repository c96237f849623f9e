-- Patterns that can't run away (spec/06 §7.8).
--
-- A native match can't be interrupted, and a bad pattern takes n^k steps over n bytes. So the worst
-- case is computed first: cheap calls go to the native function, dear ones too but with a look at
-- the clock after it, and those that could take minutes run in a matcher written in Lua, which the
-- count hook stops like any other code.

local kit = ...
local byte, char, sub, type = string.byte, string.char, string.sub, type
local error, find, gmatch, gsub, match = error, string.find, string.gmatch, string.gsub, string.match
local concat, select, spread, tostring = table.concat, select, table.unpack, tostring
local glance, longest = kit.glance, kit.string

local CHEAP = 1e5       -- steps of a call after which the clock need not be looked at
local DEAR = 1e8        -- steps that a native call with repetitions may take
local LITERAL = 2e9     -- the same without repetitions, where steps are shorter
local SPECIALS = "[%^%$%*%+%?%.%(%)%[%%%-]"
local REPEATS = {["*"] = true, ["+"] = true, ["-"] = true}

local plans, machines = {}, {}

-- Forgets what is known of patterns: what a call costs must not depend on earlier calls.
function kit.forget_patterns() plans, machines = {}, {} end

-- Where the set that opens at `at` ends, or nil.
local function set_end(p, at)
  local i = at + 1
  if sub(p, i, i) == "^" then i = i + 1 end
  repeat
    local c = sub(p, i, i)
    if c == "" then return nil end
    i = i + (c == "%" and 2 or 1)
  until sub(p, i, i) == "]"
  return i
end

-- Where the single-character item at `at` ends, or nil if it isn't complete.
local function item_end(p, at)
  local c = sub(p, at, at)
  if c == "[" then return set_end(p, at) end
  if c ~= "%" then return at end
  return at < #p and at + 1 or nil
end

-- Counts the repetitions and options of a pattern that can be tried again.
local function count_choices(p, at)
  local repeats, options = 0, 0
  while at <= #p do
    local c, following = sub(p, at, at), sub(p, at + 1, at + 1)
    if c == "(" or c == ")" then
      at = at + 1
    elseif c == "%" and following == "b" then
      repeats, at = repeats + 1, at + 4
    elseif c == "%" and find(following, "%d") then
      repeats, at = repeats + 1, at + 2
    elseif c == "%" and following == "f" then
      at = at + 2
    else
      local last = item_end(p, at)
      if not last then break end
      local mark = sub(p, last + 1, last + 1)
      at = last + 1
      if mark == "?" then options, at = options + 1, at + 1 end
      if REPEATS[mark] then
        at = at + 1
        -- what nothing follows is never tried again
        if find(p, "[^)]", at) then repeats = repeats + 1 end
      end
    end
  end
  return repeats, options
end

-- `{power, factor}`: a match over n bytes takes at most n^power * factor steps. `literal`: a "^" at
-- the start is an ordinary character, as `gmatch` has it.
local function plan_of(p, literal)
  local anchored = sub(p, 1, 1) == "^"
  local key = anchored and literal and "literal " .. p or p
  local plan = plans[key]
  if not plan then
    anchored = anchored and not literal
    local repeats, options = count_choices(p, anchored and 2 or 1)
    plan = {
      power = repeats + (anchored and 0 or 1), factor = 2.0 ^ options * (#p + 1),
      limit = repeats + options > 0 and DEAR or LITERAL, plain = not find(p, SPECIALS),
    }
    plans[key] = plan
  end
  return plan
end

-- How to run `p` over `s`: nil natively, 1 natively with a look at the clock, 2 in Lua.
local function judge(s, p, literal)
  if type(s) ~= "string" or type(p) ~= "string" then return nil end
  if #s > longest then error("subject string too long", 0) end
  local plan = plan_of(p, literal)
  local steps = (#s + 1.0) ^ plan.power * plan.factor
  if steps <= CHEAP then return nil end
  return steps <= plan.limit and 1 or 2
end

-- The matcher in Lua: a pattern becomes a list of items, run from the first.

local function members(item)
  if #item == 1 and item ~= "." then return {[byte(item)] = true} end
  local test = {}
  for b = 0, 255 do test[b] = find(char(b), "^" .. item) ~= nil end
  return test
end

local function next_item(p, at)
  local c, following = sub(p, at, at), sub(p, at + 1, at + 1)
  if c == "(" and following == ")" then return {kind = "position"}, at + 2 end
  if c == "(" then return {kind = "open"}, at + 1 end
  if c == ")" then return {kind = "close"}, at + 1 end
  if c == "$" and at == #p then return {kind = "end"}, at + 1 end
  if c == "%" and following == "b" then
    if at + 3 > #p then error("malformed pattern (missing arguments to '%b')", 0) end
    return {kind = "balance", open = byte(p, at + 2), close = byte(p, at + 3)}, at + 4
  end
  if c == "%" and following == "f" then
    if sub(p, at + 2, at + 2) ~= "[" then error("missing '[' after '%f' in pattern", 0) end
    local last = set_end(p, at + 2) or error("malformed pattern (missing ']')", 0)
    return {kind = "frontier", test = members(sub(p, at + 2, last))}, last + 1
  end
  if c == "%" and find(following, "%d") then
    return {kind = "back", index = byte(following) - 48}, at + 2
  end
  local last = item_end(p, at)
  if not last then
    error("malformed pattern (" .. (c == "%" and "ends with '%')" or "missing ']')"), 0)
  end
  local item, mark = sub(p, at, last), sub(p, last + 1, last + 1)
  if mark == "*" or mark == "+" or mark == "-" or mark == "?" then
    return {kind = mark, test = members(item)}, last + 2
  end
  return {kind = "one", test = members(item)}, last + 1
end

local function machine_of(p, at)
  local key = at .. p
  local items = machines[key]
  if not items then
    items = {}
    while at <= #p do
      local item
      item, at = next_item(p, at)
      items[#items + 1] = item
    end
    machines[key] = items
  end
  return items
end

local OPEN, POSITION = -1, -2

local run -- function(m, k, i): the end of a match of items k.. at byte i, or nil

local steps = {}

steps["*"] = function(m, item, k, i)
  local s, test, last = m.s, item.test, i
  while last <= m.n and test[byte(s, last)] do last = last + 1 end
  local least = item.kind == "+" and i + 1 or i
  for j = last, least, -1 do
    local stop = run(m, k + 1, j)
    if stop then return stop end
  end
end

steps["+"] = steps["*"]

steps["-"] = function(m, item, k, i)
  local s, test = m.s, item.test
  while true do
    local stop = run(m, k + 1, i)
    if stop then return stop end
    if i > m.n or not test[byte(s, i)] then return nil end
    i = i + 1
  end
end

steps["?"] = function(m, item, k, i)
  if i <= m.n and item.test[byte(m.s, i)] then
    local stop = run(m, k + 1, i + 1)
    if stop then return stop end
  end
  return run(m, k + 1, i)
end

function steps.open(m, item, k, i)
  local level = m.level + 1
  if level > 32 then error("too many captures", 0) end
  m.from[level], m.size[level], m.level = i, item.kind == "open" and OPEN or POSITION, level
  local stop = run(m, k + 1, i)
  if not stop then m.level = level - 1 end
  return stop
end

steps.position = steps.open

function steps.close(m, _, k, i)
  local level = m.level
  while level > 0 and m.size[level] ~= OPEN do level = level - 1 end
  if level == 0 then error("invalid pattern capture", 0) end
  m.size[level] = i - m.from[level]
  local stop = run(m, k + 1, i)
  if not stop then m.size[level] = OPEN end
  return stop
end

function steps.back(m, item, k, i)
  local index = item.index
  if index < 1 or index > m.level or m.size[index] == OPEN then
    error("invalid capture index %" .. index, 0)
  end
  local size = m.size[index]
  if size < 0 then return nil end
  local text = sub(m.s, m.from[index], m.from[index] + size - 1)
  kit.charge(size)
  if sub(m.s, i, i + size - 1) == text then return run(m, k + 1, i + size) end
end

function steps.balance(m, item, k, i)
  if byte(m.s, i) ~= item.open then return nil end
  local depth = 1
  for j = i + 1, m.n do
    local b = byte(m.s, j)
    if b == item.close then
      depth = depth - 1
      if depth == 0 then return run(m, k + 1, j + 1) end
    elseif b == item.open then
      depth = depth + 1
    end
  end
end

function steps.frontier(m, item, k, i)
  local before, here = i > 1 and byte(m.s, i - 1) or 0, byte(m.s, i) or 0
  if not item.test[before] and item.test[here] then return run(m, k + 1, i) end
end

steps["end"] = function(m, _, _, i)
  if i == m.n + 1 then return i end
end

function run(m, k, i)
  local items, s = m.items, m.s
  while true do
    local item = items[k]
    if not item then return i end
    if item.kind ~= "one" then return steps[item.kind](m, item, k, i) end
    if i > m.n or not item.test[byte(s, i)] then return nil end
    k, i = k + 1, i + 1
  end
end

-- The first match at or after `init`: where it starts, where it ends (exclusive), and the machine.
local function search(s, p, init, anchored)
  local m = {s = s, n = #s, items = machine_of(p, anchored and 2 or 1), from = {}, size = {}, level = 0}
  for i = init, anchored and init or #s + 1 do
    m.level = 0
    local stop = run(m, 1, i)
    if stop then return i, stop, m end
  end
end

local function capture(m, index)
  if m.size[index] == POSITION then return m.from[index] end
  if m.size[index] == OPEN then error("unfinished capture", 0) end
  return sub(m.s, m.from[index], m.from[index] + m.size[index] - 1)
end

-- The captures of a match, or the whole of it if there are none and `whole` asks for it.
local function captures(m, i, stop, whole)
  if m.level == 0 and whole then return sub(m.s, i, stop - 1) end
  local list = {}
  for index = 1, m.level do list[index] = capture(m, index) end
  return spread(list, 1, m.level)
end

local function start_of(s, init)
  init = init or 1
  if init < 0 then init = #s + init + 1 end
  return init < 1 and 1 or init
end

local HEAD = 64 -- bytes of a long needle that are searched for natively

local function find_plain(s, needle, init)
  local at = start_of(s, init)
  local head = sub(needle, 1, HEAD)
  while true do
    local i = glance(find(s, head, at, true))
    if not i then return nil end
    kit.charge(#needle)
    if sub(s, i, i + #needle - 1) == needle then return i, i + #needle - 1 end
    at = i + 1
  end
end

local strings = kit.strings

function strings.find(s, p, init, plain)
  if type(s) == "string" and type(p) == "string" and (plain or plan_of(p).plain) then
    local steps = #s * #p
    if steps <= CHEAP then return find(s, p, init, true) end
    if #p > HEAD and steps > LITERAL then return find_plain(s, p, init) end
    return glance(find(s, p, init, true))
  end
  local way = judge(s, p)
  if not way then return find(s, p, init) end
  if way == 1 then return glance(find(s, p, init)) end
  local from, anchored = start_of(s, init), sub(p, 1, 1) == "^"
  if from > #s + 1 then return nil end
  local i, stop, m = search(s, p, from, anchored)
  if not i then return nil end
  return i, stop - 1, captures(m, i, stop, false)
end

function strings.match(s, p, init)
  local way = judge(s, p)
  if not way then return match(s, p, init) end
  if way == 1 then return glance(match(s, p, init)) end
  local from = start_of(s, init)
  if from > #s + 1 then return nil end
  local i, stop, m = search(s, p, from, sub(p, 1, 1) == "^")
  if not i then return nil end
  return captures(m, i, stop, true)
end

function strings.gmatch(s, p)
  local way = judge(s, p, true)
  if not way then return gmatch(s, p) end
  if way == 1 then
    local step = gmatch(s, p)
    return function() return glance(step()) end
  end
  local at, last = 1, nil
  return function()
    while at <= #s + 1 do
      local i, stop, m = search(s, p, at, false)
      if not i then at = #s + 2 return nil end
      at = i + 1
      if stop ~= last then -- an empty match right behind the last one doesn't count
        at, last = stop, stop
        return captures(m, i, stop, true)
      end
    end
  end
end

local function expand(text, m, i, stop)
  return (gsub(text, "%%(.?)", function(c)
    if c == "%" then return "%" end
    local index = find(c, "%d") and byte(c) - 48
    if not index then error("invalid use of '%' in replacement string", 0) end
    if index == 0 or index == 1 and m.level == 0 then return sub(m.s, i, stop - 1) end
    if index > m.level then error("invalid capture index %" .. index .. " in replacement string", 0) end
    return tostring(capture(m, index))
  end))
end

local function replacement(with, m, i, stop)
  local original = sub(m.s, i, stop - 1)
  local value
  if type(with) == "function" then
    value = with(captures(m, i, stop, true))
  elseif type(with) == "table" then
    value = with[(captures(m, i, stop, true))]
  else
    return expand(tostring(with), m, i, stop)
  end
  if not value then return original end
  if type(value) ~= "string" and type(value) ~= "number" then
    error("invalid replacement value (a " .. type(value) .. ")", 0)
  end
  return tostring(value)
end

local function replace(s, p, with, most)
  local anchored, parts, count, at, last = sub(p, 1, 1) == "^", {}, 0, 1, nil
  while count < most and at <= #s + 1 do
    local i, stop, m = search(s, p, at, anchored)
    if not i then break end
    parts[#parts + 1] = sub(s, at, i - 1)
    if stop ~= last then
      count = count + 1
      parts[#parts + 1] = replacement(with, m, i, stop)
      at, last = stop, stop
    else
      at = i
    end
    if stop == i then
      parts[#parts + 1] = sub(s, at, at)
      at = at + 1
    end
    if anchored then break end
  end
  parts[#parts + 1] = sub(s, at)
  return concat(parts), count
end

function strings.gsub(s, p, with, most)
  local way = judge(s, p)
  if not way then return gsub(s, p, with, most) end
  if way == 1 then return glance(gsub(s, p, with, most)) end
  local kind = type(with)
  if kind ~= "string" and kind ~= "number" and kind ~= "function" and kind ~= "table" then
    return gsub("", p, with) -- for its error
  end
  return replace(s, p, with, most or math.maxinteger)
end
