-- Behind core.lua: the client's script.
local script, wrong = chunk(text, '@user_script')
if not script then return { err = 'ERR Error compiling script (new function): ' .. wrong } end
local done, result = xpcall(script, __redis__err__handler)
unseed()
if done then return result end
return blame(result, sha, 'user_script')
