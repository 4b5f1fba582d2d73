-- For wrk: every request comes from somebody who has not been here before, with keys, grants and products
-- of their own making, and one of each kind is sent before the first is answered. The first argument keeps
-- the names of one run apart from those of others.

-- As long as a real one, of a key that nobody has.
local grant = "AQ" .. string.rep("A", 66)
local run, count, format = "0", 0, string.format

-- The same name stands for who comes, and for what they bring.
local begin = "POST /cart HTTP/1.1\r\nhost: gateway\r\nx-user-id: somebody-%s\r\nx-sku: hot\r\n"
  .. "content-length: 2\r\n\r\n{}"
local unknown = "POST /cart HTTP/1.1\r\nhost: gateway\r\nx-user-id: somebody-%s\r\nx-sku: product-%s\r\n"
  .. "content-length: 2\r\n\r\n{}"
local look = "GET /sale/product-%s/status HTTP/1.1\r\nhost: gateway\r\nx-user-id: somebody-%s\r\nx-sku: hot\r\n\r\n"
local order = "POST /orders HTTP/1.1\r\nhost: gateway\r\nx-user-id: somebody-%s\r\nx-sku: hot\r\n"
  .. "idempotency-key: key-%s\r\ncontent-length: 2\r\n%s\r\n{}"
local pay = "POST /pay HTTP/1.1\r\nhost: gateway\r\nx-user-id: somebody-%s\r\nx-sku: hot\r\n"
  .. "idempotency-key: key-%s\r\ncontent-length: 2\r\ncookie: floodgate-grant-sale=%s\r\n\r\n{}"

function init(args)
  run = args[1] or "0"
end

local function name()
  count = count + 1
  return run .. "-" .. count
end

-- Another one in each request.
local function forged(name)
  return grant:sub(1, 68 - #name) .. name
end

function request()
  local a, b, c, d, e, f, g, h = name(), name(), name(), name(), name(), name(), name(), name()
  return format(begin, a) .. format(begin, b) .. format(begin, c) .. format(unknown, d, d)
    .. format(look, e, e) .. format(order, f, f, "")
    .. format(order, g, g, "x-floodgate-grant: " .. forged(g) .. "\r\n") .. format(pay, h, h, forged(h))
end
