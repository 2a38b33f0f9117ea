-- Behind register.lua: what the library would register, an array each: name, description, flags. The wall does not trust it.
return guarded(function()
    local wrong = load_library()
    if wrong then return wrong end
    local found, size = {}, 0
    for i = 1, #order do
        local entry = registered[order[i]]
        size = size + #order[i] + (entry.description and #entry.description or 0) + 100 * #entry.flags
        if size > 1048576 then return { err = 'ERR Error registering functions: too long for this proxy' } end
        found[i] = { order[i], entry.description or false, unpack(entry.flags) }
    end
    return found
end)
