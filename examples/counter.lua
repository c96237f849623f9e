-- A process that counts: every message adds its `amount`, or 1.
count = 0

function compute(base, assignment)
  local message = assignment.body
  if message.type ~= "Process" then
    count = count + math.floor(tonumber(message.amount or 1))
  end
  base.count = count
  base.results = { output = "The count is " .. count .. "." }
  return base
end
