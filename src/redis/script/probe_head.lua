-- Before core.lua, where a library is looked at before it is loaded. ARGV: the text behind its first line.
local raw, raw_call, raw_pcall = redis, redis.call, redis.pcall
local prefix, escaped, text = ARGV[1], ARGV[2], ARGV[3]
local keys, argv
local current
local function index(_, key)
    return current(key)
end
