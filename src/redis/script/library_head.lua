-- Before core.lua, in a library: what stood at the load in a script is here as text. Run at the first call.
local raw, raw_call, raw_pcall = redis, redis.call, redis.pcall
local text = string.sub(CODE, string.find(CODE, '\n', 1, true) or #CODE + 1, -1)
local keys, argv
-- The same text is run again when the server starts again.
local now = raw_call('TIME')
local seed = (SEED + tonumber(now[1]) * 1000003 + tonumber(now[2])) % 281474976710656
local current
local function index(_, key)
    return current(key)
end
