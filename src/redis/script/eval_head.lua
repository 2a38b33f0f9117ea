-- Before core.lua, in a script: KEYS and ARGV as the wall sends them. ARGV: prefix, prefix as a pattern, the text, its sha, a number by chance, how
-- many arguments are the client's.
local raw, raw_call, raw_pcall, index = redis, redis.call, redis.pcall, nil
local prefix, escaped, text, sha, seed = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local keys, argv = {}, {}
for i = 1, #KEYS do keys[i] = string.sub(KEYS[i], #prefix + 1) end
for i = 1, tonumber(ARGV[6]) do argv[i] = ARGV[6 + i] end
