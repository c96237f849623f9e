-- What a guest may spend, and the protected calls that it can't hide behind (spec/06 §7.5, §7.8).
--
-- A count hook takes instructions off a budget; C functions whose work grows with their arguments
-- pay through `kit.charge`. Once the budget is gone `over` names the reason, and every function of
-- Lua that catches errors is replaced by one that throws again as long as `over` is set.

local kit = ...
local clock, error, maxinteger, pcall = os.clock, error, math.maxinteger, pcall
local find, sethook = string.find, debug.sethook
local resume, select, type = coroutine.resume, select, type
local create = coroutine.create
local budget, check = kit.budget, kit.check

local STEP = 1000       -- instructions between two hooks
local FINE = 50         -- the same for a guest whose instructions turned out to be slow
local BRANCH = 250      -- the same inside a coroutine; each new coroutine pays it in advance
local SLOW = 0.01       -- seconds of CPU time that STEP instructions may take
local FREE = 4096       -- bytes that a C function may handle without paying
local LONGEST_OVERFLOW = 200 -- bytes of the longest text by which Lua reports a full stack
local MEMORY = "not enough memory"
local BUFFER = "not enough memory for buffer allocation" -- how library functions say the same

local left, look, over = maxinteger, math.huge, nil
local period = 0 -- seconds of CPU time between two questions to the host
local stepped, fine -- when the last hook struck, and fine ones until the pace is judged again

local function stop(reason)
  over, left = over or reason, 0
  error(reason, 0)
end

kit.stop = stop

-- Whether an error says that there is no memory left. Where a guest meets it depends on what the VM
-- did before, so it is never the guest's to handle.
function kit.is_full(err) return err == MEMORY or err == BUFFER end

-- Names the limit that ended the guest when Lua itself gave up.
function kit.note(reason) over = over or reason end

-- Lets the host end the call once in a while; passes its arguments on.
local function glance(...)
  local now = clock()
  if now >= look then
    look = now + period
    if check() then stop("host") end
  end
  return ...
end
kit.glance = glance

local function spend(amount)
  left = left - amount
  if left <= 0 then stop("instructions") end
  glance()
end

local on_step

-- After as many instructions as between two coarse hooks: are they still slow?
local function on_fine_step()
  spend(FINE)
  fine = fine - 1
  if fine > 0 then return end
  local now = clock()
  if now - stepped <= SLOW then sethook(on_step, "", STEP) end
  fine, stepped = STEP // FINE, now
end

-- One instruction may copy megabytes (`..`), and only the next hook can stop it, so a guest that
-- does such things gets more hooks.
function on_step()
  spend(STEP)
  local now = clock()
  if stepped and now - stepped > SLOW then
    fine = STEP // FINE
    sethook(on_fine_step, "", FINE)
  end
  stepped = now
end

local function on_branch_step() spend(BRANCH) end

-- Called when a guest starts. The hook is set anew so that its count starts at nought: a budget
-- must not depend on what the VM did before. Short calls never look at the clock.
function kit.begin()
  over, left, look, stepped = nil, budget, 0, nil
  sethook(on_step, "", STEP)
end

-- How often the host is asked. Nothing else may depend on its haste: where hooks strike decides what
-- a guest at the end of the stack meets.
function kit.look_every(seconds) period = seconds end

-- Called when a guest has ended; gives the reason if it was stopped.
function kit.finish()
  sethook()
  left, look = maxinteger, math.huge
  return over
end

function kit.is_over() return over ~= nil end

-- Pays for `amount` bytes that a C function handles, a quarter of an instruction each.
function kit.charge(amount)
  if amount > FREE then spend(amount // 4) end
end

-- The hook needs a little stack. A guest at the end of the stack makes it fail with an error that
-- looks like any other, so each error of that kind pays for the hook that may have been lost.
local function pay_for_lost_hook(err)
  if #err > LONGEST_OVERFLOW then return end
  if find(err, "stack overflow", 1, true) or find(err, "error in error handling", 1, true) then
    spend(STEP)
  end
end

-- Looks at a caught error: those that a guest may not catch are thrown again. A call of the host
-- that failed half-way may have left memory unlimited.
local function sift(err)
  if over then error(over, 0) end
  if kit.is_full(err) then stop("memory") end
  local kind = type(err)
  if kind == "userdata" then stop("host") end -- an exception of Python's inside the binding
  if kind == "string" then pay_for_lost_hook(err) end
  kit.arm()
  return err
end
kit.sift = sift

-- The reference hands the text of a table to `pcall`, never the table (spec/06 §5.9).
local function as_text(err)
  if type(err) == "table" then return kit.tostring(err) end
  return err
end

local function settle(ok, ...)
  if over then error(over, 0) end
  if ok then return true, ... end
  return false, as_text(sift((...)))
end

local protected = {}
kit.protected = protected

function protected.pcall(...) return settle(pcall(...)) end

local function settle_handler(ok, result)
  if over then error(over, 0) end
  if not ok then sift(result) end
  return false, result
end

local function settle_handled(handler, ok, ...)
  if over then error(over, 0) end
  if ok then return true, ... end
  return settle_handler(pcall(handler, sift((...))))
end

-- Lua would call the handler before it unwinds the stack, with hooks switched off if the error came
-- from a hook. Guests can't look at the stack, so they don't notice that theirs runs afterwards.
function protected.xpcall(f, handler, ...)
  return settle_handled(handler, pcall(f, ...))
end

function protected.error(...)
  local err = ...
  if select("#", ...) == 0 then err = nil end
  if type(err) == "table" and kit.metamethod(err, "__tostring") then err = kit.tostring(err) end
  error(err, 0)
end

function protected.assert(...)
  if select("#", ...) == 0 then error("bad argument #1 to 'assert' (value expected)", 0) end
  local value, message = ...
  if value then return ... end
  if select("#", ...) == 1 then message = "assertion failed!" end
  error(message, 0)
end

local branch = {}
kit.coroutine = branch

local function start(f)
  spend(BRANCH)
  local co = create(f)
  sethook(co, on_branch_step, "", BRANCH)
  return co
end

branch.create = start

local function settle_resumed(ok, ...)
  if over then error(over, 0) end
  if not ok then sift((...)) end
  return ok, ...
end

function branch.resume(co, ...) return settle_resumed(resume(co, ...)) end

local function unwrap(ok, ...)
  if over then error(over, 0) end
  if not ok then error(sift((...)), 0) end
  return ...
end

function branch.wrap(f)
  local co = start(f)
  return function(...) return unwrap(resume(co, ...)) end
end

branch.isyieldable, branch.running = coroutine.isyieldable, coroutine.running
branch.status, branch.yield = coroutine.status, coroutine.yield
