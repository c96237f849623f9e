-- A process in the manner of aos, small: handlers, an inbox, Eval, and messages sent.

Inbox, Handlers, Outbox, Balances = {}, {list = {}}, {}, {}
Name, Version, References = "bench", "1", 0

local function matches(message, pattern)
  for key, wanted in pairs(pattern) do
    local value = message[key]
    if value == nil then return false end
    if type(wanted) == "function" then
      if not wanted(value, message) then return false end
    elseif wanted ~= value and not string.match(value, wanted) then
      return false
    end
  end
  return true
end

function Handlers.add(name, pattern, handle)
  for _, handler in ipairs(Handlers.list) do
    if handler.name == name then
      handler.pattern, handler.handle = pattern, handle
      return
    end
  end
  table.insert(Handlers.list, {name = name, pattern = pattern, handle = handle})
end

function Send(message)
  References = References + 1
  message.reference = tostring(References)
  table.insert(Outbox, message)
  return message
end

Handlers.add("transfer", {action = "Transfer", quantity = "^%d+$"}, function(message)
  local from, to = message.from, message.recipient
  local quantity = math.tointeger(tonumber(message.quantity))
  Balances[from] = (Balances[from] or 1000000) - quantity
  Balances[to] = (Balances[to] or 0) + quantity
  Send({target = to, action = "Credit-Notice", quantity = message.quantity, sender = from})
  Send({target = from, action = "Debit-Notice", quantity = message.quantity, recipient = to})
end)

Handlers.add("balance", {action = "Balance"}, function(message)
  Send({target = message.from, data = tostring(Balances[message.from] or 0)})
end)

local function describe(value, indent)
  if type(value) ~= "table" then return tostring(value) end
  local lines = {}
  for key, item in pairs(value) do
    lines[#lines + 1] = indent .. tostring(key) .. " = " .. describe(item, indent .. "  ")
  end
  return "{\n" .. table.concat(lines, ",\n") .. "\n}"
end

local function eval(message)
  local chunk, problem = load("return " .. message.data, "inbox", "t", _G)
  if not chunk then chunk, problem = load(message.data, "inbox", "t", _G) end
  if not chunk then return problem end
  local ok, result = pcall(chunk)
  return describe(result, "  "), ok
end

function compute(base, request)
  Outbox = {}
  local message, output = request.body, nil
  if message.action == "Eval" then
    output = eval(message)
  else
    local handled = false
    for _, handler in ipairs(Handlers.list) do
      if matches(message, handler.pattern) then
        handler.handle(message)
        handled = true
        break
      end
    end
    if not handled then
      table.insert(Inbox, message)
      if #Inbox > 100 then table.remove(Inbox, 1) end
    end
  end
  base.results = {outbox = Outbox, output = {data = output or "", prompt = Name .. "> "}}
  return base
end

function add(x) return x + 1 end

function loop(n)
  local sum = 0
  for i = 1, n do sum = sum + i % 7 end
  return sum
end

function walk(n)
  local table_of_names, count = {}, 0
  for i = 1, 1000 do table_of_names["key" .. i] = i end
  for _ = 1, n // 1000 do
    for _ in pairs(table_of_names) do count = count + 1 end
  end
  return count
end

function grow(n)
  Rows = {}
  for i = 1, n do Rows[i] = {id = i, name = "row " .. i, tags = {"a", "b"}} end
  return #Rows
end

function echo(value) return value end
