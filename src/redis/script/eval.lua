-- Behind core.lua: the client's script.
return guarded(function()
    local script, wrong = chunk(text, '@user_script')
    if not script then return { err = sentence('ERR Error compiling script (new function): ' .. wrong) } end
    local done, result = xpcall(script, __redis__err__handler)
    if done then return plain(result) end
    return blame(result, sha, 'user_script')
end)
