"""What must hold after an attack: each a function that gives what is wrong, or nothing."""
import os
import re

from resp import Client, Closed, Err, Quiet, split

P99_SECONDS = float(os.environ.get("ISOLATION_P99_MS", "50")) / 1000
SECRET = b"SECRET-B"
# Whose keys COMMAND GETKEYS does not find.
BLIND = {b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO", b"XREADGROUP", b"SORT", b"XREAD", b"GEORADIUS", b"GEORADIUSBYMEMBER"}


def tokens(world, tenant, heard):
    """Physical names of a tenant in what was heard."""
    begin = re.escape(world.raw(tenant).encode())
    return set(re.findall(rb"(?<![A-Za-z0-9_.-])" + begin + rb"[^\s\"'\],)]*", heard))


def own_words(said, token):
    """Whether the attacker said it first, so that it may come back."""
    return token in said or token.rstrip(b".;:") in said


def no_b_value(run):
    heard, said = run.heard(), run.said()
    if SECRET in heard and SECRET not in said:
        return f"B's value was heard: {heard[max(0, heard.find(SECRET) - 60):][:120]!r}"
    found = [t for t in tokens(run.world, "b", heard) if not own_words(said, t)]
    return f"B's names were heard: {found[:3]}" if found else None


def prefix_hidden(run):
    found = [t for t in tokens(run.world, "a", run.heard()) if not own_words(run.said(), t)]
    return f"A's own prefix was heard: {found[:3]}" if found else None


def b_unchanged(run):
    before, after = run.before, run.after
    for place in before.keys() | after.keys():
        if before.get(place) != after.get(place):
            return f"{place} was changed: {str(before.get(place))[:60]} became {str(after.get(place))[:60]}"
    return None


def only_a(run):
    strangers = run.world.strangers()
    return f"keys of nobody: {strangers[:3]}" if strangers else b_unchanged(run)


# These reach the tenant's own libraries and connections only, so they need not be refused; what they tell and change is held to the other rules.
OWN = ("FUNCTION ", "FCALL ", "CLIENT KILL TYPE ")


def refused(run):
    for line, replies in run.replies:
        if line.startswith(OWN) or line in run.not_attacks or "WHOAMI" in line or line in ("RESET", "<close>"):
            continue
        for reply in replies:
            if not isinstance(reply, (Err, Closed)):
                return f"{line!r} was answered {str(reply)[:80]}"
    return None


def conn_ok(run):
    try:
        if run.client.ask(["PING"]) not in (b"PONG", [b"pong", b""]):
            return "no PONG"
    except (Closed, Quiet) as error:
        return f"A's connection is no good: {error!r}"
    return None


def conn_closed_or_err(run):
    heard = run.heard()
    return None if run.closed or heard.startswith(b"-") or b"\r\n-" in heard else f"neither an error nor an end: {heard[:80]!r}"


def b_latency(run):
    if run.loop is None:
        return None
    # What the machine is busy with besides is nobody's attack.
    limit = P99_SECONDS + 5 * run.alone
    run.note = f"p99 {run.p99 * 1000:.1f} ms of {len(run.loop.times)}"
    return f"B waited: {run.note}" if run.p99 > limit else None


def b_conn_ok(run):
    if run.loop is not None and run.loop.wrong:
        return f"B heard {run.loop.wrong[:2]}"
    for thread in run.threads:
        if thread.wrong:
            return f"B's call ended with {thread.wrong}"
    for client in run.victims:
        try:
            said = client.ask(["PING"], timeout=20)
            # Its own messages may come first.
            while isinstance(said, list) and said[:1] in ([b"message"], [b"pmessage"]):
                said = client.reply()
            if said not in (b"PONG", [b"pong", b""]):
                return f"B's connection gives no PONG but {said}"
        except (Closed, Quiet) as error:
            return f"B's connection is no good: {error!r}"
    if not run.world.alive():
        return "a process ended or the wall panicked"
    return None


def no_event_to_a(run):
    return f"A heard {run.events_a[:2]}" if run.events_a else None


def no_event_to_b(run):
    return f"B heard {run.events_b[:2]}" if run.events_b else None


def count_own(run):
    numbers = {"DBSIZE", "PUBSUB"}
    for (line, got), (_, want) in zip(run.replies, run.plain):
        word = line.split()[0].upper()
        if word in numbers and got != want and not isinstance(got[0], Err):
            return f"{line!r}: {got}, a private server {want}"
        if word == "INFO" and got and isinstance(got[0], bytes):
            count = lambda text: re.findall(rb"^db\d+:keys=\d+", text, re.M)
            if count(got[0]) != count(want[0]):
                return f"{line!r}: {count(got[0])}, a private server {count(want[0])}"
    return None


def same_count(run):
    for (line, got), (_, want) in zip(run.replies, run.plain):
        if isinstance(want[0], int) and got != want:
            return f"{line!r}: {got}, a private server {want}"
    return None


def upstream_sync(run):
    for tenant in ("a", "b"):
        for n in range(2):
            client = Client(run.world.port, tenant)
            mark = b"mark-%d-%s" % (n, tenant.encode())
            if client.ask(["ECHO", mark]) != mark or client.ask(["GET", "nothing"]) is not None:
                return f"{tenant} heard another's reply"
            client.close()
    return None


def raw_prefixed(run):
    strangers = run.world.strangers()
    if strangers:
        return f"keys of nobody: {strangers[:3]}"
    owners = [run.world.raw(t).encode() for t in ("a", "b")]
    for line in run.monitored:
        words = split(line.split(b"] ", 1)[1].decode("latin-1"))
        if not words or words[0].upper() in BLIND:
            continue
        keys = run.world.admin.ask([b"COMMAND", b"GETKEYS"] + words)
        if isinstance(keys, list) and not all(any(k.startswith(o) for o in owners) for k in keys):
            return f"upstream saw {words[:8]}"
    return None


def normal(line, replies):
    """What two servers may say differently is made alike."""
    word = line.split()[0].upper() if line.split() else ""
    if word in ("KEYS", "SMEMBERS", "SCAN", "RANDOMKEY", "PUBSUB", "HGETALL"):
        if word == "RANDOMKEY":
            return [type(r).__name__ for r in replies]
        return [sort(r) for r in replies]
    if word == "COMMAND" and " LIST" in line:
        return [sort(r) for r in replies]
    if word in ("UNSUBSCRIBE", "PUNSUBSCRIBE") and len(line.split()) == 1:
        # In the order of a hash table.
        return [[r[0], r[2]] if isinstance(r, list) and len(r) == 3 else r for r in replies]
    if word == "HELLO":
        return [masked(r) for r in replies]
    if word == "EXEC":
        return [[type(x).__name__ if isinstance(x, bytes) else sort(x) for x in r] if isinstance(r, list) else r for r in replies]
    return replies


def sort(value):
    if isinstance(value, list):
        return sorted((sort(v) for v in value), key=repr)
    return value


def masked(value):
    if isinstance(value, list):
        return [0 if n and value[n - 1] == b"id" else v for n, v in enumerate(value)]
    if isinstance(value, dict):
        return {k: 0 if "id'" in k else v for k, v in value.items()}
    return value


# What a node of a cluster refuses, or refuses before it looks further (docs/REDIS.md).
CLUSTERED = ["allowed in cluster mode", "denied in Cluster mode", "CROSSSLOT", "another database is not"]


def same_as_plain(run):
    clustered = CLUSTERED if run.world.upstream.endswith("cluster") else []
    for (line, got), (_, want) in zip(run.replies, run.plain):
        if any(words in repr(got) for words in clustered):
            # From here on it is another state.
            return None
        got, want = normal(line, got), normal(line, want)
        if repr(got) != repr(want):
            return f"{line!r}: {str(got)[:160]}, a private server {str(want)[:160]}"
    return None


# Held by every attack, whatever it lists.
ALWAYS = ["no_b_value", "prefix_hidden", "only_a", "b_conn_ok", "raw_prefixed", "upstream_sync"]
