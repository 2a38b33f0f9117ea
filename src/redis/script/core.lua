-- What a client's code runs in: a redis.call that puts the tenant's prefix before every key, declared or not, and takes it off every reply.
-- The code is a string here, compiled behind a line of locals that hide each global through which the raw call could be reached; a name once
-- hidden by a local cannot be uncovered. Before this stands what says: raw, raw_call, raw_pcall, prefix, escaped, text, seed, keys, argv.
local raw_error = error
local type, pcall, xpcall, tostring, tonumber, pairs, next, setmetatable = type, pcall, xpcall, tostring, tonumber, pairs, next, setmetatable
local select, unpack, compile, metatable, rawget = select, unpack, loadstring, getmetatable, rawget
local find, match, gsub, sub, byte, lower, format = string.find, string.match, string.gsub, string.sub, string.byte, string.lower, string.format
local concat, order, floor = table.concat, table.sort, math.floor

-- A global that is not known could lead anywhere.
local KNOWN = ' KEYS ARGV redis server __redis__err__handler __server__err__handler string cjson bit cmsgpack math table struct os xpcall tostring setmetatable next assert ' ..
    'tonumber rawequal collectgarbage getmetatable rawset pcall coroutine type _G select unpack gcinfo pairs rawget loadstring ipairs _VERSION ' ..
    'load error newproxy setfenv getfenv '
for name in pairs(_G) do
    if type(name) ~= 'string' or not find(KNOWN, ' ' .. name .. ' ', 1, true) then
        return { err = 'ERR scripts are not supported by this proxy with this server' }
    end
end

-- Objects by numbers of this script's own: their addresses count what all tenants' scripts make.
local address, numbers, numbered = tostring, setmetatable({}, { __mode = 'k' }), 0
local function tostring(...)
    if select('#', ...) == 0 then raw_error("bad argument #1 to 'tostring' (value expected)", 2) end
    local value = ...
    local said, kind = address(value), type(value)
    if type(said) ~= 'string' or not find(said, '^' .. kind .. ': 0x%x+$') then return said end
    if not numbers[value] then numbers[value], numbered = numbered, numbered + 1 end
    return format('%s: 0x%012x', kind, 16 * (numbers[value] + 1))
end

local length = #prefix

-- Whether a script may call what waits elsewhere (BLPOP and its like): since 7.2, at once as in a transaction.
local waits = (raw.REDIS_VERSION_NUM or 0) >= 0x70200

-- name=arity,rule of each command that may be called; from the wall's table.
local COMMANDS = '@COMMANDS@'

local function strip(name)
    if type(name) ~= 'string' then return name end
    if sub(name, 1, length) ~= prefix then raw_error({ err = 'ERR a name of somebody else' }) end
    return sub(name, length + 1)
end

local function word(arg) return lower(match(arg, '^[^%z]*')) end

-- A new one each time: the client gets it, and may change it.
local function wrong_syntax() return { err = 'ERR syntax error' } end

-- Puts the prefix before the arguments from first to last.
local function range(args, first, last, step)
    if last > #args then last = #args end
    for i = first, last, step do args[i] = prefix .. args[i] end
end

-- A number as the server reads it: of 64 bits, with nothing before or behind it.
local function integer(arg)
    local minus, digits = match(arg, '^(%-?)(%d+)$')
    if not digits or byte(digits) == 48 and (minus == '-' or #digits > 1) then return nil end
    local most = minus == '-' and '9223372036854775808' or '9223372036854775807'
    if #digits > 19 or #digits == 19 and digits > most then return nil end
    return tonumber(arg)
end

-- The keys behind a count, which the server looks at in this order.
local function counted(args, at, name, step)
    local number, behind = integer(args[at] or ''), #args - at
    local pops = find(name, '^b?[lz]mpop$')
    if pops or name == 'sintercard' then
        if not number or number < 1 then return { err = 'ERR numkeys should be greater than 0' } end
        if pops and number >= behind then return wrong_syntax() end
        if number > behind then return { err = "ERR Number of keys can't be greater than number of args" } end
    end
    if name == 'msetex' and (not number or number < 1 or number > 2147483647) then
        return { err = 'ERR invalid numkeys value or out of range' }
    end
    if not number then return { err = 'ERR value is not an integer or out of range' } end
    if number < 1 then return { err = "ERR at least 1 input key is needed for '" .. name .. "' command" } end
    if number * step > behind then return wrong_syntax() end
    range(args, at + 1, at + number * step, step)
end

local function sort(args, store)
    local i = 3
    args[2] = prefix .. args[2]
    while i <= #args do
        local option, left = word(args[i]), #args - i
        if option == 'asc' or option == 'desc' or option == 'alpha' then i = i + 1
        elseif option == 'limit' and left >= 2 then i = i + 3
        elseif option == 'store' and store and left >= 1 then args[i + 1] = prefix .. args[i + 1]; i = i + 2
        elseif option == 'by' and left >= 1 then
            if find(match(args[i + 1], '^[^%z]*'), '*', 1, true) then args[i + 1] = prefix .. args[i + 1] end
            i = i + 2
        elseif option == 'get' and left >= 1 then
            if match(args[i + 1], '^[^%z]*') ~= '#' then args[i + 1] = prefix .. args[i + 1] end
            i = i + 2
        else return wrong_syntax() end
    end
end

local function georadius(args, from)
    local i = from
    args[2] = prefix .. args[2]
    while i <= #args do
        local option, more = word(args[i]), i < #args
        if find(' withdist withhash withcoord any asc desc ', ' ' .. option .. ' ', 1, true) then i = i + 1
        elseif option == 'count' and more then i = i + 2
        elseif (option == 'store' or option == 'storedist') and more then args[i + 1] = prefix .. args[i + 1]; i = i + 2
        else return wrong_syntax() end
    end
end

local function xread(args, grouped)
    local i = 2
    while i <= #args do
        local option, more = word(args[i]), #args - i
        if (option == 'block' or option == 'count') and more >= 1 then i = i + 2
        elseif option == 'streams' and more >= 1 then
            if more % 2 ~= 0 then return wrong_syntax() end
            range(args, i + 1, i + more / 2, 1)
            return
        elseif option == 'group' and more >= 2 and grouped then i = i + 3
        elseif option == 'noack' and grouped then i = i + 1
        else return wrong_syntax() end
    end
    return wrong_syntax()
end

-- The server's generator (`redisLrand48` in its rand.c), with a state of this script's own: by the server's, which is one for all, tenants would
-- know, count and set each other's numbers.
local low, middle, high = seed % 65536, floor(seed / 65536) % 65536, floor(seed / 4294967296) % 65536
local function draw()
    local first = 58989 * low + 11
    local second = 58989 * middle + 57068 * low + floor(first / 65536)
    local third = 58989 * high + 57068 * middle + 5 * low + floor(second / 65536)
    low, middle, high = first % 65536, second % 65536, third % 65536
    return (high * 32768 + floor(middle / 2)) % 2147483647 / 2147483647
end

local function every(reply)
    for i = 1, #reply do reply[i] = strip(reply[i]) end
    return reply
end

-- In an order of their own: that of the server's table depends on how many keys all tenants have.
local function all(pattern)
    local found = every(raw_call('KEYS', escaped .. pattern))
    order(found)
    return found
end

-- Commands over the whole keyspace, at once: a script is.
local WHOLE = {
    keys = function(args) return all(args[2] or '') end,
    dbsize = function() return #raw_call('KEYS', escaped .. '*') end,
    randomkey = function()
        local found = all('*')
        return found[1] and found[floor(draw() * #found) + 1] or false
    end,
    scan = function(args)
        local pattern, kind, i = '*', nil, 3
        while i <= #args do
            local option = word(args[i])
            if not args[i + 1] then return wrong_syntax()
            elseif option == 'match' then pattern = args[i + 1]
            elseif option == 'type' then kind = word(args[i + 1])
            elseif option ~= 'count' then return wrong_syntax() end
            i = i + 2
        end
        -- One page holds all: any other cursor is past the end.
        local found = args[2] == '0' and all(pattern) or {}
        if kind then
            local typed = {}
            for i = 1, #found do
                if raw_call('TYPE', prefix .. found[i]).ok == kind then typed[#typed + 1] = found[i] end
            end
            found = typed
        end
        return { '0', found }
    end,
    flushdb = function(args)
        local mode = args[2] and word(args[2])
        if #args > 2 or mode and mode ~= 'sync' and mode ~= 'async' then return wrong_syntax() end
        -- Refused where nothing may be written, also when there is nothing: this changes nothing.
        local tried = raw_pcall('RENAMENX', prefix, prefix)
        if type(tried) == 'table' and tried.err and tried.err ~= 'ERR no such key' then return tried end
        local found = all('*')
        for i = 1, #found do raw_call('UNLINK', prefix .. found[i]) end
        return { ok = 'OK' }
    end,
}

-- Rules of what is not only ranges: where keys stand.
local PLACES = {
    sort = function(args) return sort(args, true) end,
    sort_ro = function(args) return sort(args, false) end,
    georadius = function(args) return georadius(args, 7) end,
    georadiusbymember = function(args) return georadius(args, 6) end,
    xread = function(args) return xread(args, false) end,
    xreadgroup = function(args) return xread(args, true) end,
}

-- What is known to be about a key alone; the names are simple strings, or none are known.
local function known(name)
    name = type(name) == 'table' and name.ok or ''
    return find(' @FACTS@ ', ' ' .. name .. ' ', 1, true)
end

-- How names stand in a reply.
local REPLIES = {
    first = function(reply)
        if type(reply) == 'table' then reply[1] = strip(reply[1]) end
        return reply
    end,
    streams = function(reply)
        if type(reply) ~= 'table' then return reply end
        if reply.map then
            local map = {}
            for name, entries in pairs(reply.map) do map[strip(name)] = entries end
            return { map = map }
        end
        for i = 1, #reply do reply[i][1] = strip(reply[i][1]) end
        return reply
    end,
    facts = function(reply)
        if type(reply) ~= 'table' then return reply end
        for name in pairs(reply.map or {}) do
            if not known(name) then reply.map[name] = 0 end
        end
        for i = 1, #reply, 2 do
            if not known(reply[i]) then reply[i + 1] = 0 end
        end
        return reply
    end,
}

-- The server's sentences put a key at their beginning or at their end.
local function unquote(reply, args)
    local from, to = find(reply.err, "NOGROUP No such key '" .. prefix, 1, true)
    if not from then from, to = find(reply.err, " for key name '" .. prefix, 1, true) end
    if from then reply.err = sub(reply.err, 1, to - length) .. sub(reply.err, to + 1) end
    -- Since 7.2 it names a user that the tenant does not know it is.
    from = find(reply.err, 'User partywall:', 1, true)
    to = from and find(reply.err, ' has ', from, true)
    if to then reply.err = sub(reply.err, 1, from - 1) .. 'this user' .. sub(reply.err, to) end
    return reply
end

-- Puts the prefix where the rule says; an error where the arguments are not understood.
local function place(args, name, rule)
    local places = match(rule, '^[^>]*')
    if places == 'none' then return end
    for spec in string.gmatch(places, '[^;]+') do
        local first, last, step = match(spec, '^(%d+):(-?%d+):(%d+)$')
        local at, stride = match(spec, '^#(%d+)/?(%d*)$')
        if first then
            first, last = first + 1, tonumber(last)
            range(args, first, last < 0 and #args + 1 + last or first + last, tonumber(step))
        elseif at then
            local wrong = counted(args, at + 1, name, tonumber(stride) or 1)
            if wrong then return wrong end
        elseif spec == 'own' then
            local wrong = PLACES[name](args)
            if wrong then return wrong end
        else
            return { err = 'ERR This Redis command is not allowed from script' }
        end
    end
end

-- A number as the server writes it, which is not the same in all versions: what is not plain it is asked for.
local function written(number)
    if number == floor(number) and number > -1e15 and number < 1e15 and (number ~= 0 or 1 / number > 0) then return format('%.17g', number) end
    return raw_call('ECHO', number)
end

-- What a module reads of the arguments of commands on vector sets; `vectors` in the wall's bounds.rs.
local function nests(text) return select(2, gsub(text or '', '[%[{]', '')) > 4096 end
local function too_much(args, name)
    local reduced, given = integer(args[4] or ''), args[6] or ''
    if word(args[3] or '') == 'reduce' and reduced and reduced > 0 and reduced * 4 * (#args + #given / 4) > 67108864 then
        return { err = 'ERR REDUCE makes more of this than this proxy lets it' }
    end
    for i = 3, #args - 1 do
        local option = word(args[i])
        if option == 'filter' and #args[i + 1] > 1024 then
            return { err = 'ERR a FILTER of more than 1024 bytes is too much for this proxy' }
        elseif option == 'setattr' and nests(args[i + 1]) or name == 'vsetattr' and nests(args[4]) then
            return { err = 'ERR more than 4096 brackets are too much for this proxy' }
        end
    end
end

local function run(...)
    local args, many = { ... }, select('#', ...)
    if many == 0 then return { err = 'ERR Please specify at least one argument for this redis.call() call' } end
    for i = 1, many do
        local arg = args[i]
        if type(arg) == 'number' then args[i] = written(arg)
        elseif type(arg) ~= 'string' then
            return { err = 'ERR Lua redis lib command arguments must be strings or integers' }
        end
    end
    local name = lower(args[1])
    local rule = not find(name, '[^%w_-]') and match(COMMANDS, ' ' .. gsub(name, '%-', '%%-') .. '=(%S*)')
    if rule == 'container' then
        local second = args[2] and lower(args[2]) or ''
        name = name .. '|' .. second
        rule = not find(second, '[^%w_-]') and match(COMMANDS, ' ' .. gsub(name, '%-', '%%-') .. '=(%S*)')
    end
    if not rule then return { err = 'ERR Unknown Redis command called from script' } end
    local arity, places = match(rule, '^(-?%d+),(.*)$')
    arity, rule = tonumber(arity), places
    if arity < 0 and many < -arity or arity >= 0 and many ~= arity then
        return { err = 'ERR Wrong number of args calling Redis command from script' }
    end
    local later = match(rule, '^7%.2%?(.*)$')
    if rule == '!' or later and not waits then return { err = 'ERR This Redis command is not allowed from script' } end
    rule = later or rule
    if WHOLE[name] then return WHOLE[name](args) end
    if find(' srandmember hrandfield zrandmember ', ' ' .. name .. ' ', 1, true) and (tonumber(args[3]) or 0) < -1048576 then
        return { err = 'ERR value is out of range' }
    end
    local wrong = byte(name) == 118 and too_much(args, name) or place(args, name, rule)
    if wrong then return { err = wrong.err } end
    local reply
    if #args > 3 then
        -- As many as the client's own call could have: unpack has a bound.
        reply = raw_pcall(args[1], args[2], args[3], unpack(args, 4))
    else
        reply = raw_pcall(unpack(args))
    end
    if type(reply) == 'table' and reply.err then return unquote(reply) end
    local shape = match(rule, '>(%a+)$')
    return shape and REPLIES[shape](reply) or reply
end

-- Raised where the client's script called, so that the error names its line.
local function call(...)
    local reply = run(...)
    if type(reply) == 'table' and reply.err then
        -- A tail call leaves no line behind.
        local _, at = pcall(raw_error, '', 3)
        reply.partywall_line = tonumber(match(at or '', ':(%d+): $')) or 0
        raw_error(reply)
    end
    return reply
end

local own = {
    call = call,
    pcall = run,
    error_reply = raw.error_reply,
    status_reply = raw.status_reply,
    sha1hex = raw.sha1hex,
    setresp = raw.setresp,
    replicate_commands = function() return true end,
    set_repl = function() end,
    acl_check_cmd = raw.acl_check_cmd and function(name, ...)
        local rule = type(name) == 'string' and not find(name, '[^%w_-]') and match(COMMANDS, ' ' .. gsub(lower(name), '%-', '%%-') .. '=(%S*)')
        if not rule then raw_error('ERR Invalid command passed to redis.acl_check_cmd()', 2) end
        return sub(rule, -2) ~= ',!'
    end,
    log = function(...)
        local many = select('#', ...)
        if many < 2 then raw_error('redis.log() requires two arguments or more.', 2) end
        local level = tonumber((...))
        if not level then raw_error('First argument must be a number (log level).', 2) end
        if level < 0 or level > 3 then raw_error('Invalid log level.', 2) end
    end,
    breakpoint = function() return false end,
    debug = function() end,
    LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
    REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
    REDIS_VERSION = raw.REDIS_VERSION, REDIS_VERSION_NUM = raw.REDIS_VERSION_NUM,
    SERVER_NAME = raw.SERVER_NAME, SERVER_VERSION = raw.SERVER_VERSION, SERVER_VERSION_NUM = raw.SERVER_VERSION_NUM,
    VALKEY_VERSION = raw.VALKEY_VERSION, VALKEY_VERSION_NUM = raw.VALKEY_VERSION_NUM,
}

local HIDE = 'local redis,server,_G,loadstring,load,getmetatable,setmetatable,cjson,KEYS,ARGV,collectgarbage,gcinfo,os,newproxy,getfenv,setfenv,' ..
    '__redis__err__handler,math,__server__err__handler,tostring,unpack=...;return function'
-- Not there, it is no name that must be hidden.
if rawget(_G, 'server') == nil then HIDE = gsub(HIDE, ',server,', ',redis,') end
local globals, meta, json, fix, chunk
local math = math

-- Tables that a script may not change; each is its own script's only.
local fixed = {}
local function readonly(values)
    local table = setmetatable({}, { __index = values, __newindex = function() raw_error('Attempt to modify a readonly table', 2) end })
    fixed[table] = true
    return table
end
-- What the client has for `redis`: a table, or a function where it changes.
local api = readonly(index or own)

-- Processor time since this script began: all that the server has used is everybody's. Some servers have no `os`.
local system = rawget(_G, 'os')
local clock = system and system.clock
local begun = clock and clock()
local time = clock and readonly({ clock = function() return clock() - begun end })

function fix(table, own)
    local done, wrong = not fixed[table], 'Attempt to modify a readonly table'
    if done then done, wrong = pcall(setmetatable, table, own) end
    if done then return table end
    -- By its name and at the client's line, as if called there.
    raw_error(gsub(wrong, "'%?'", "'setmetatable'"), 2)
end

-- As a C int of the argument; `luaL_checkint`.
local function int(number)
    if number ~= number or number >= 2 ^ 63 or number <= -2 ^ 63 then return 0 end
    number = (number < 0 and -floor(-number) or floor(number)) % 4294967296
    return number < 2147483648 and number or number - 4294967296
end
local function argument(name, at, many, value)
    local kind = type(value)
    local number = (kind == 'number' or kind == 'string') and tonumber(value)
    if number then return int(number) end
    raw_error("bad argument #" .. at .. " to '" .. name .. "' (number expected, got " .. (at > many and 'no value' or kind) .. ')', 3)
end
-- Some servers' own takes more than there is room for, and ends.
local function spread(...)
    local list, first, last = ...
    local many = select('#', ...)
    if type(list) ~= 'table' then
        raw_error("bad argument #1 to 'unpack' (table expected, got " .. (many == 0 and 'no value' or type(list)) .. ')', 2)
    end
    first = first == nil and 1 or argument('unpack', 2, many, first)
    last = last == nil and #list or argument('unpack', 3, many, last)
    if last - first >= 8000 then raw_error('too many results to unpack', 2) end
    -- What is given counts against the room, too.
    if many == 1 then return unpack(list) end
    if many == 2 then return unpack(list, first) end
    return unpack(list, first, last)
end
math = readonly(setmetatable({
    random = function(...)
        local many, chance = select('#', ...), draw()
        if many == 0 then return chance end
        if many > 2 then raw_error('wrong number of arguments', 2) end
        local first, second = ...
        first = argument('random', 1, many, first)
        if many == 1 then first, second = 1, first else second = argument('random', 2, many, second) end
        if first > second then raw_error("bad argument #" .. many .. " to 'random' (interval is empty)", 2) end
        return floor(chance * int(second - first + 1)) + first
    end,
    randomseed = function(...)
        local given = argument('randomseed', 1, select('#', ...), (...)) % 4294967296
        low, middle, high = 13070, given % 65536, floor(given / 65536)
    end,
}, { __index = math }))

local function hide(outer)
    return outer(api, api, globals, chunk, function(piece, name)
        if type(piece) ~= 'function' then
            raw_error("bad argument #1 to 'load' (function expected, got " .. (piece == nil and 'no value' or type(piece)) .. ')', 2)
        end
        local pieces = {}
        while true do
            local part = piece()
            if part == nil or part == '' then break end
            pieces[#pieces + 1] = part
        end
        return chunk(concat(pieces), name)
    end, meta, fix, json, keys, argv, function() return 0 end, function() return 0 end, time, nil, nil, nil, nil, math, nil, tostring, spread)
end

function chunk(source, name)
    if type(source) ~= 'string' then raw_error('bad argument #1 to \'loadstring\' (string expected)') end
    -- Compiled alone first: it must be whole by itself. Never bytecode.
    if sub(source, 1, 1) == '\27' then return nil, 'attempt to load a binary chunk' end
    name = type(name) == 'string' and name or source
    local alone, wrong = compile(source, name)
    if not alone then return nil, wrong end
    -- A function of any arguments has a local `arg`, which a chunk has not.
    local outer = compile(HIDE .. '() ' .. source .. '\nend', name)
    if not outer then
        outer, wrong = compile(HIDE .. '(...) ' .. source .. '\nend', name)
        if not outer then return nil, wrong end
    end
    return hide(outer)
end

-- Only tables show theirs: that of strings is all tenants'.
function meta(value)
    if type(value) == 'table' and not fixed[value] then return metatable(value) end
    return nil
end

-- Settings of cjson would last: the script has an instance of its own.
json = readonly(find(text, 'cjson', 1, true) and cjson.new() or {})
globals = { redis = api, os = time, tostring = tostring, unpack = spread, math = math, KEYS = keys, ARGV = argv, cjson = json, getmetatable = meta, setmetatable = fix, loadstring = chunk }
for _, name in pairs({ 'string', 'bit', 'cmsgpack', 'table', 'struct', 'xpcall', 'next', 'assert', 'tonumber',
    'rawequal', 'rawset', 'pcall', 'coroutine', 'type', 'select', 'pairs', 'rawget', 'ipairs', '_VERSION', 'error' }) do
    globals[name] = _G[name]
end
globals._G = readonly(globals)
globals = globals._G

-- Line ends as blanks: some servers write them as they come, and what stands behind would be a reply of its own.
local function on_one_line(said) return (gsub(said, '[\r\n]', ' ')) end

-- An error as it is sent: none at its end.
local function sentence(said)
    local last = #said
    while last > 0 and (byte(said, last) == 10 or byte(said, last) == 13) do last = last - 1 end
    return on_one_line(sub(said, 1, last))
end

-- What was raised, in words. It may be the client's own, with anything in it: nothing of it runs.
local function words(raised)
    if type(raised) ~= 'table' then return 'ERR ' .. tostring(raised) end
    local said = rawget(raised, 'err')
    local kind = type(said)
    -- The server's handler makes a text of what is no table.
    local object = kind == 'string' and match(said, '^ERR (%a+): 0x%x+$')
    if object and find(' function thread userdata ', ' ' .. object .. ' ', 1, true) then return 'ERR ' .. object end
    return kind == 'string' and said or kind == 'number' and tostring(said) or 'ERR unknown error'
end

-- An error as the server says it: with the name of what ran, and the line.
local function blame(raised, name, source)
    local said, line = words(raised), nil
    if type(raised) == 'table' then
        line = tonumber(rawget(raised, 'partywall_line')) or tonumber(match(said, '^ERR ' .. source .. ':(%d+): ')) or tonumber(rawget(raised, 'line'))
    end
    -- The line is lost after a tail call, or the wrapper's; but there may be only one.
    local blank = match(text, '^\n*')
    if line and line > select(2, gsub(text, '\n', '')) + 1 then line = 0 end
    if line == 0 and not find(text, '\n', #blank + 1, true) then line = #blank + 1 end
    if line == 0 then return { err = sentence(said .. ' script: ' .. name) } end
    if not line then return { err = sentence(said) } end
    return { err = sentence(said .. ' script: ' .. name .. ', on @' .. source .. ':' .. line .. '.') }
end

-- What of a table is its reply, in the order in which the server looks (`luaReplyToRedisReply` in its script_lua.c).
local function fill(to, from, copy)
    local err, ok, double, map, set = rawget(from, 'err'), rawget(from, 'ok'), rawget(from, 'double'), rawget(from, 'map'), rawget(from, 'set')
    local number, verbatim = rawget(from, 'big_number'), rawget(from, 'verbatim_string')
    if type(err) == 'string' then
        to.err, to.ignore_error_stats_update = sentence(err), rawget(from, 'ignore_error_stats_update') == true or nil
    elseif type(ok) == 'string' then to.ok = on_one_line(ok)
    elseif type(double) == 'number' then to.double = double
    elseif type(map) == 'table' then
        to.map = {}
        for key, value in next, map do to.map[copy(key)] = copy(value) end
    elseif type(set) == 'table' then
        to.set = {}
        for member in next, set do to.set[copy(member)] = true end
    elseif type(number) == 'string' then to.big_number = on_one_line(number)
    else
        if type(verbatim) == 'table' then
            local said, kind = rawget(verbatim, 'string'), rawget(verbatim, 'format')
            if type(said) == 'string' and type(kind) == 'string' then
                to.verbatim_string = { string = said, format = kind }
                return
            end
        end
        local i, item = 1, rawget(from, 1)
        while item ~= nil do
            to[i] = copy(item)
            i = i + 1
            item = rawget(from, i)
        end
    end
end

-- What a script returned, in tables of the wall's own: the server reads some fields through the metatable, and what that raises nothing catches.
local function plain(value)
    local copies, due, many, done = {}, {}, 0, 0
    local function copy(value)
        if type(value) ~= 'table' then return value end
        local known = copies[value]
        if not known then
            known, many = {}, many + 1
            copies[value], due[many] = known, value
        end
        return known
    end
    local whole = copy(value)
    while done < many do
        done = done + 1
        fill(copies[due[done]], due[done], copy)
    end
    return whole
end

-- Runs what may raise what is the client's: that goes no further. Not by pcall: the server's looks into what was raised.
local function guarded(run)
    local done, reply = xpcall(run, function() end)
    if done then return reply end
    return { err = 'ERR what this script does is not understood by this proxy' }
end
