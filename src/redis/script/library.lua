-- Behind register.lua: what answers a call of one of the library's functions.
local failed = guarded(load_library)
-- The line where an error was raised, of which the server's own handler knows more.
local function handler(raised)
    local line = type(raised) == 'table' and rawget(raised, 'partywall_line')
    for level = 3, 4 do
        if not line then
            local _, at = pcall(raw_error, '', level)
            line = tonumber(match(at or '', '^user_function:(%d+): $'))
        end
    end
    return { err = words(raised), partywall_line = line }
end

return function(name, given_keys, args)
    if failed then return failed end
    local entry = registered[name]
    if not entry then return { err = 'ERR Function not found' } end
    local own_keys = {}
    for i = 1, #given_keys do own_keys[i] = strip(given_keys[i]) end
    begun = clock and clock()
    return guarded(function()
        local done, result = xpcall(function() return entry.callback(own_keys, args) end, handler)
        if done then return plain(result) end
        return blame(result, name, 'user_function')
    end)
end
