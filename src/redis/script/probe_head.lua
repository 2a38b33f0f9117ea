-- Before core.lua, where a library is looked at before it is loaded. ARGV: prefix, prefix as a pattern, the text behind
-- its first line, a number by chance.
local raw, raw_call, raw_pcall = redis, redis.call, redis.pcall
local prefix, escaped, text, seed = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local keys, argv
local current
local function index(_, key)
    return current(key)
end
