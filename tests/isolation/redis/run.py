"""Runs attack sequences against the wall: two tenants on one server, the attacker `a`, the victim `b`, and a private server beside it.

usage: run.py BINARY|- FILE… [--only ids or groups] [--prefix PATTERN] [--upstream alone|shared|cluster|shared-cluster|alone-acl|shared-acl]. Each file is in the notation of `attacks.yaml`. A verdict an attack;
exit 1 if one is not held. With `-` there is no wall, only the server: to see that the checks notice."""
import argparse
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import yaml

import directions
import musts
from world import UPSTREAMS, Client, Closed, Err, Loop, Quiet, World, encode

QUIET = object()
# A pipeline's replies may be deep.
sys.setrecursionlimit(200_000)


def event(value):
    """Whether something unasked is more than a confirmation."""
    return bool(value) and not (isinstance(value[0], bytes) and value[0].endswith(b"subscribe"))


class Call(threading.Thread):
    """A call of the victim's that lasts."""

    def __init__(self, client, commands):
        super().__init__(daemon=True)
        self.client, self.commands, self.wrong = client, commands, None
        self.start()

    def run(self):
        try:
            for words in self.commands:
                said = self.client.ask(words, timeout=60)
                if isinstance(said, Err):
                    self.wrong = said
        except (Closed, Quiet) as error:
            self.wrong = repr(error)


class Run:
    """One attack, from an empty server to the verdict."""

    def __init__(self, world, attack):
        self.world, self.attack = world, attack
        self.client = self.loop = None
        self.victims, self.threads, self.later, self.old, self.events_a, self.events_b = [], [], [], [], [], []
        self.replies, self.plain, self.monitored, self.not_attacks = [], [], [], set()
        self.closed, self.note, self.cursor, self.p99, self.alone = False, "", b"0", 0, 0
        self.extra, self.transcripts = bytearray(), []

    def heard(self):
        return bytes(self.extra) + b"".join(bytes(c.heard) for c in [*self.old, self.client] if c)

    def said(self):
        return b"".join(bytes(c.said) for c in [*self.old, self.client] if c)

    # The victim.

    def set_up_victim(self):
        lines = self.attack.get("setup_b") or []
        first, second = self.world.user("b"), None
        self.victims.append(first)
        for line in lines:
            if "(after" in line:
                self.later.append(re.sub(r"\s*\(after.*\)", "", line))
            elif "every 1 ms" in line or "in a loop" in line or line == "GET k":
                self.loop = self.loop or Loop(self.world)
            elif "(conn 2)" in line:
                second = second or self.world.user("b")
                if second not in self.victims:
                    self.victims.append(second)
                second.send(encode(self.world.words(line.replace("(conn 2)", ""))))
                second.reply()
            elif "(keep cursor" in line:
                self.cursor = first.ask(self.world.words(line.split(" (keep")[0]))[0]
            elif "s loop>" in line:
                self.threads.append(Call(self.world.user("b"), directions.pipeline(line, self.world.private)))
                self.victims.pop(0).close()
                time.sleep(0.2)
            else:
                for words in directions.pipeline(line, self.world.private) or [self.world.words(line)]:
                    first.ask(words)
                if line.startswith("PUBLISH"):
                    self.later.append(line)
        for victim in self.victims:
            victim.heard.clear()
        if second:
            self.listener = second

    def victim_acts(self):
        """What B does afterwards, and all kinds of events besides."""
        client = self.world.user("b")
        for line in self.later or ["PUBLISH ch SECRET-B"]:
            client.ask(self.world.words(line))
        client.ask(["PUBLISH", "x", "SECRET-B"])
        client.ask(["SET", "touched", "SECRET-B"])
        client.ask(["DEL", "touched"])
        client.close()

    # The attacker.

    def reconnect(self):
        if self.client:
            self.old.append(self.client)
            self.client.close()
        self.client = self.world.user("a")

    def one(self, client, words, timeout):
        """A command's replies: confirmations come one a channel."""
        client.send(encode(words))
        name = words[0].upper() if words else b""
        count = max(1, len(words) - 1) if name.endswith(b"SUBSCRIBE") else 1
        replies = []
        for n in range(count):
            try:
                replies.append(client.reply(timeout))
            except Quiet:
                replies.append(QUIET)
                return replies
            if isinstance(replies[-1], Err):
                return replies
        if name.endswith(b"UNSUBSCRIBE") and len(words) == 1:
            replies += client.listen(0.1)
        return replies

    def attempt(self, client, line, words, timeout=1.5):
        try:
            return self.one(client, words, timeout)
        except Closed as error:
            return [error]

    def many(self, client, commands):
        """A long pipeline: sent whole while replies are read."""
        client.keep = len(commands) < 2000
        sender = threading.Thread(target=lambda: self.quietly(client, directions.whole(commands)), daemon=True)
        sender.start()
        last = None
        try:
            for n, _ in enumerate(commands):
                last = client.reply(timeout=60)
        except (Closed, Quiet) as error:
            last = error
        sender.join(10)
        client.keep = True
        return [last]

    @staticmethod
    def quietly(client, data):
        try:
            client.send(data)
        except Closed:
            pass

    def line(self, line):
        if m := re.match(r'\((?:connect )?as tenant "(.*)"\) (.*)', line):
            name = m[1].encode().decode("unicode_escape").encode("latin-1") if "\\" in m[1] else m[1].encode()
            return self.as_other(name, m[2])
        if line.startswith("(rotate identity"):
            return self.attempt(self.client, line, [b"AUTH", b"b", b"x"]) + self.attempt(self.client, line, [b"HELLO", b"2", b"AUTH", b"b", b"x"])
        if line.startswith("(revoke tenant"):
            return self.revoke()
        if line.startswith("(pipeline"):
            return self.never_read()
        if line.startswith("open 20000"):
            return self.crowd()
        if line.startswith("<close"):
            self.reconnect()
            return [Closed("by A")]
        if " on each" in line:
            return self.on_each(line.replace(" on each", ""))
        line = line.replace("SCAN C", "SCAN " + self.cursor.decode()) if line == "SCAN C" else line
        commands = directions.pipeline(line, self.world.private)
        if commands is None:
            return self.attempt(self.client, line, self.world.words(line))
        replies = self.many(self.client, commands)
        if isinstance(replies[0], Closed):
            self.closed = True
            self.reconnect()
        return replies

    def as_other(self, name, command):
        try:
            client = Client(self.world.port, name)
        except (Closed, Quiet) as error:
            return [error if isinstance(error, Closed) else QUIET]
        self.old.append(client)
        if client.accepted != b"OK":
            return [client.accepted]
        return self.attempt(client, command, self.world.words(command))

    def revoke(self):
        """The policy changes so that `a` is no tenant any more."""
        world = World(BINARY, self.world.prefix, self.world.upstream)
        try:
            client = world.user("a")
            client.ask(["SET", "k", "v"])
            path = Path(world.directory.name, "policies/redis.yaml")
            path.write_text(path.read_text().replace("[a-z0-9][a-z0-9-]{0,62}", "[b-z0-9][b-z0-9-]{0,62}"))
            world.wall.send_signal(signal.SIGHUP)
            time.sleep(1)
            value = b"v" * (2 << 20)
            long = Client(world.port, "b")
            long.close()
            said = self.attempt(client, "", [b"SET", b"k", value], timeout=5)
            stored = world.admin.ask(["GET", world.raw("a", "k")])
            client.close()
            return [b"a revoked tenant wrote"] if stored != b"v" else said
        finally:
            world.stop()

    def never_read(self):
        """A megabyte is asked for again and again, and nothing is read."""
        self.client.ask(["SET", "bigvalue", b"v" * (1 << 20)])
        client = Client(self.world.port, "a")
        client.socket.settimeout(2)
        try:
            for _ in range(100):
                client.socket.sendall(encode([b"GET", b"bigvalue"]) * directions.many(1e4))
        except OSError:
            pass
        time.sleep(1)
        memory = self.world.admin.ask(["INFO", "memory"]).decode()
        used = int(re.search(r"used_memory:(\d+)", memory)[1])
        client.close()
        self.note = f"upstream at {used >> 20} MiB"
        return [Err("grown")] if used < 300 << 20 else [f"upstream holds {used >> 20} MiB of replies"]

    def crowd(self):
        self.open = []
        for _ in range(directions.many(20000)):
            try:
                client = Client(self.world.port, "a", timeout=5)
                if client.accepted == b"OK":
                    self.open.append(client)
                else:
                    client.close()
            except (OSError, Closed, Quiet):
                pass
        self.note = f"{len(self.open)} connections"
        return [None]

    def on_each(self, command):
        for client in getattr(self, "open", []):
            try:
                client.send(encode(self.world.words(command)))
            except Closed:
                pass
        return [None]

    def raw(self, text):
        data, fin = directions.raw(text)
        replies = []
        for port, user in ((self.world.port, "a"), (self.world.private_port, None)):
            client = Client(port, user)
            try:
                client.send(data)
                if fin:
                    client.socket.shutdown(1)
            except (Closed, OSError):
                pass
            heard, closed = client.drain(0.4)
            if not closed and not fin:
                try:
                    client.send(encode([b"ECHO", b"in-turn"]))
                except Closed:
                    pass
                heard, closed = client.drain(0.3)
            replies.append((heard, closed))
            if user:
                self.old.append(client)
                self.closed = closed
        (got, _), (want, _) = replies
        if got != want:
            self.transcripts.append(f"{text[:60]}: heard {got[:120]!r}, a private server says {want[:120]!r}")

    # The whole.

    def go(self):
        world, attack = self.world, self.attack
        world.clear()
        # What the attacker said in other attacks may be in its own log.
        if "slowlog" in attack["id"]:
            world.user("a").ask(["SLOWLOG", "RESET"])
        self.listener = None
        self.set_up_victim()
        self.reconnect()
        plain = world.private if "same_as_plain" in attack["must"] or "count_own" in attack["must"] else None
        if plain:
            plain = Client(world.private_port)
        for line in attack.get("setup_a") or []:
            self.client.ask(world.words(line))
            if plain:
                plain.ask(world.words(line))
        self.client.heard.clear()
        watches = not attack["id"].startswith("dos") and self.loop is None
        monitor = Client(world.shared_port) if watches else None
        if monitor:
            monitor.ask(["MONITOR"])
        self.before = world.store(without="a")
        if self.loop:
            self.loop.start()
            time.sleep(0.3)
            self.alone = self.loop.p99()
            self.loop.times.clear()
        for line in attack["attack_a"]:
            if attack.get("raw") and not line.startswith("("):
                self.raw(line)
                continue
            self.replies.append((line, self.line(line)))
            if self.replies[-1][1][-1] is QUIET or isinstance(self.replies[-1][1][-1], Closed) and not line.startswith("<close"):
                self.closed |= isinstance(self.replies[-1][1][-1], Closed)
                self.reconnect()
            if plain:
                self.plain.append((line, self.attempt(plain, line, world.words(line))))
                if self.plain[-1][1][-1] is QUIET:
                    plain.close()
                    plain = Client(world.private_port)
        if self.loop:
            time.sleep(0.3)
            self.loop.stop()
            self.p99 = self.loop.p99()
        for client in getattr(self, "open", []):
            client.close()
        for thread in self.threads:
            thread.join(30)
        # B's connections first, so that what B does afterwards is not taken for A's.
        if self.listener:
            self.events_b = [e for e in self.listener.listen(0.2) if event(e)]
        self.after = world.store(without="a")
        self.victim_acts()
        told = [e for e in self.client.listen(0.25)]
        self.events_a = [e for e in told if isinstance(e, (list, tuple)) and event(e)]
        if monitor:
            monitor.drain(0.1)
            self.monitored = [line for line in bytes(monitor.buffer).split(b"\r\n") if b"] " in line]
            monitor.close()

    def verdict(self):
        wrong = []
        for must in dict.fromkeys([*musts.ALWAYS, *self.attack["must"]]):
            said = getattr(musts, must)(self)
            if said:
                wrong.append(f"{must}: {said}")
        if "conn_closed_or_err" not in self.attack["must"]:
            wrong += [f"as a private server: {said}" for said in self.transcripts]
        return wrong

    def close(self):
        for client in [*self.victims, *self.old, self.client, *getattr(self, "open", [])]:
            if client:
                client.close()


def main():
    global BINARY
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--only", default="")
    parser.add_argument("--prefix", default="{tenant}:")
    parser.add_argument("--upstream", default="alone", choices=UPSTREAMS)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    BINARY = None if options.binary == "-" else os.path.abspath(options.binary)
    only = [word for word in options.only.split(",") if word]
    attacks = [a for file in options.files for a in yaml.safe_load(Path(file).read_text())["attacks"]]
    attacks = [a for a in attacks if not only or any(a["id"] == o or a["id"].rsplit("-", 1)[0] == o for o in only)]
    world, bad = World(BINARY, options.prefix, options.upstream), 0
    try:
        for attack in attacks:
            run = Run(world, attack)
            began = time.monotonic()
            try:
                run.go()
                wrong = run.verdict()
            except (Closed, Quiet, OSError) as error:
                wrong = [f"the run broke: {error!r}"]
                world.broken = True
            finally:
                run.close()
            bad += bool(wrong)
            note = f" ({run.note})" if run.note else ""
            print(f"{'NOT HELD' if wrong else 'held':8} {attack['id']:12} {attack['title']}{note} {time.monotonic() - began:.1f}s", flush=True)
            for line in wrong:
                print(f"           {line}")
            if options.verbose:
                for line, replies in run.replies:
                    print(f"           {line[:70]} -> {str(replies)[:150]}")
            if world.broken or not world.alive():
                print("           starting again")
                world.stop()
                world = World(BINARY, options.prefix, options.upstream)
    finally:
        world.stop()
    print(f"redis isolation, prefix {options.prefix}, {options.upstream}: {len(attacks) - bad} of {len(attacks)} attacks held")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
