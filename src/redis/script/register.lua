-- Behind core.lua: what `redis` is while a library is loaded, and what it registers, with the server's words.
local registered, order = {}, {}
local FLAGS = ' no-writes allow-oom allow-stale no-cluster allow-cross-slot-keys '

local function refuse(words) raw_error({ err = 'ERR ' .. words }) end

local function textual(value)
    local kind = type(value)
    return (kind == 'string' or kind == 'number') and value .. '' or nil
end

local function read_flags(given)
    local flags, i = {}, 1
    while given[i] ~= nil do
        local flag = textual(given[i])
        flag = flag and word(flag)
        if not flag or find(flag, ' ', 1, true) or flag == '' or not find(FLAGS, ' ' .. flag .. ' ', 1, true) then refuse('unknown flag given') end
        flags[i] = flag
        i = i + 1
    end
    return flags
end

local function named(given)
    if type(given) ~= 'table' then
        refuse('calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).')
    end
    local name, callback, description, flags
    for key, value in next, given do
        key = textual(key)
        if not key then refuse('named argument key given to redis.register_function is not a string') end
        key = word(key)
        if key == 'function_name' then
            name = textual(value)
            if not name then refuse('function_name argument given to redis.register_function must be a string') end
        elseif key == 'description' then
            description = textual(value)
            if not description then refuse('description argument given to redis.register_function must be a string') end
        elseif key == 'callback' then
            callback = value
            if type(callback) ~= 'function' then refuse('callback argument given to redis.register_function must be a function') end
        elseif key == 'flags' then
            if type(value) ~= 'table' then
                refuse('flags argument to redis.register_function must be a table representing function flags')
            end
            flags = read_flags(value)
        else
            refuse('unknown argument given to redis.register_function')
        end
    end
    if not name then refuse('redis.register_function must get a function name argument') end
    if not callback then refuse('redis.register_function must get a callback argument') end
    return name, callback, description, flags
end

local loaded = false
local function register(...)
    local many = select('#', ...)
    if loaded then refuse('redis.register_function can only be called on FUNCTION LOAD command') end
    if many < 1 or many > 2 then refuse('wrong number of arguments to redis.register_function') end
    local name, callback, description, flags
    if many == 1 then
        name, callback, description, flags = named((...))
    else
        local first, second = ...
        name, callback = textual(first), second
        if not name then refuse('first argument to redis.register_function must be a string') end
        if type(callback) ~= 'function' then refuse('second argument to redis.register_function must be a function') end
    end
    if not find(name, '^[%w_]+$') then
        refuse('Library names can only contain letters, numbers, or underscores(_) and must be at least one character long')
    end
    if registered[name] then refuse('Function already exists in the library') end
    registered[name] = { callback = callback, description = description, flags = flags or {} }
    order[#order + 1] = name
end

local loading = { register_function = register }
for _, name in pairs({ 'log', 'LOG_DEBUG', 'LOG_VERBOSE', 'LOG_NOTICE', 'LOG_WARNING', 'REDIS_VERSION', 'REDIS_VERSION_NUM' }) do
    loading[name] = own[name]
end
for _, name in pairs({ 'replicate_commands', 'breakpoint', 'debug' }) do own[name] = nil end

local function while_loading(key)
    if loading[key] == nil then raw_error("Script attempted to access nonexistent global variable '" .. tostring(key) .. "'", 3) end
    return loading[key]
end

-- Runs the library's own text once. What it comes to: an error, or nothing.
local function load_library()
    current = while_loading
    local script, wrong = chunk(text, '@user_function')
    if not script then return { err = sentence('ERR Error compiling function: ' .. wrong) } end
    -- The server's pcall makes a text of what was raised.
    local done, said = xpcall(script, words)
    loaded = true
    current = function(key) return own[key] end
    if not done then
        return { err = sentence('ERR Error registering functions: ' .. tostring(said)) }
    end
    if #order == 0 then return { err = 'ERR No functions registered' } end
end
