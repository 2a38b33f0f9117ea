#!/usr/bin/env python3
"""Makes src/redis/commands.txt from the command specifications that Redis and Valkey publish in their sources.

usage: redis_commands.py LABEL=DIR ... > src/redis/commands.txt

DIR is a `src/commands` directory of one server's source; the first that knows a command decides, save that the widest
arity counts (the server itself refuses what is too much for it). One line a command:

    name | arity | flags | key specifications | servers that have it

A key specification is `access@first:last:step` (as the sources count: `last` -1 is the last argument, 0 the first key
itself), `access#at` for keys behind a count that stands at argument `at` (`access#at/step` where something stands between them),
and `?` for all others, which are not used.
`access` is r where the key is only read, w where not, c where it is a channel.
"""
import glob, json, sys


def spec(s):
    flags = s["flags"]
    access = "c" if "NOT_KEY" in flags else "r" if "RO" in flags else "w"
    begin, find = s["begin_search"], s["find_keys"]
    if "INCOMPLETE" in flags or "index" not in begin:
        return "?"
    at = begin["index"]["pos"]
    if "range" in find and find["range"]["limit"] == 0:
        return f"{access}@{at}:{find['range']['lastkey']}:{find['range']['step']}"
    if "keynum" in find and (find["keynum"]["keynumidx"], find["keynum"]["firstkey"]) == (0, 1):
        step = find["keynum"]["step"]
        return f"{access}#{at}" if step == 1 else f"{access}#{at}/{step}"
    return "?"


def read(directory):
    for path in sorted(glob.glob(f"{directory}/*.json")):
        for name, entry in json.load(open(path)).items():
            container = entry.get("container")
            full = f"{container} {name}" if container else name
            flags = [f.lower() for f in entry.get("command_flags", [])]
            kept = [f for f in ("write", "readonly", "blocking", "pubsub", "noscript", "no_multi", "no_auth") if f in flags]
            specs = [spec(s) for s in entry.get("key_specs", [])]
            yield full.lower(), (str(entry["arity"]), ",".join(kept) or "-", " ".join(specs) or "-")


def main():
    table, servers = {}, {}
    for argument in sys.argv[1:]:
        label, directory = argument.split("=", 1)
        for name, line in read(directory):
            if not name.startswith("sentinel"):
                arities = [line[0], *([table[name][0]] if name in table else [])]
                table[name] = (min(arities, key=lambda a: (int(a) > 0, abs(int(a)))), *table.get(name, line)[1:])
                servers.setdefault(name, []).append(label)
    print("# Every command, made by tests/tools/redis_commands.py from the command specifications (src/commands/*.json) in the")
    print(f"# sources of {', '.join(a.split('=', 1)[0] for a in sys.argv[1:])}. Not edited by hand: what specifications cannot say is in rules.txt.")
    print("# name | arity | flags | key specifications | servers")
    for name in sorted(table):
        print(" | ".join([name, *table[name], ",".join(servers[name])]))


main()
