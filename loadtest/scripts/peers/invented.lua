-- For wrk: every request comes from somebody who has not been here before, with keys, grants and products
-- of their own making. The first argument keeps the names of one run apart from those of others.

local run, count = "0", 0
local grant = string.rep("A", 96)

function init(args)
  run = args[1] or "0"
end

local function headers(name)
  return {
    ["host"] = "gateway",
    ["x-user-id"] = "somebody-" .. name,
    ["x-sku"] = "hot",
  }
end

function request()
  count = count + 1
  local name = run .. "-" .. count
  local head, kind = headers(name), count % 8
  if kind < 3 then
    return wrk.format("POST", "/cart", head, "{}")
  elseif kind == 3 then
    head["x-sku"] = "product-" .. name
    return wrk.format("POST", "/cart", head, "{}")
  elseif kind == 4 then
    return wrk.format("GET", "/sale/product-" .. name .. "/status", head)
  elseif kind == 5 then
    head["idempotency-key"] = "key-" .. name
    return wrk.format("POST", "/orders", head, "{}")
  elseif kind == 6 then
    -- As long as a real one, other in each request.
    head["x-floodgate-grant"] = grant:sub(1, 96 - #name) .. name
    head["idempotency-key"] = "key-" .. name
    return wrk.format("POST", "/orders", head, "{}")
  end
  head["cookie"] = "floodgate-grant=" .. grant:sub(1, 96 - #name) .. name
  head["idempotency-key"] = "key-" .. name
  return wrk.format("POST", "/pay", head, "{}")
end
