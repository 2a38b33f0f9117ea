"""The Redis half of the matrix: a private server, a shared one, and the wall before the shared one."""
import os
import re
import socket
import sys

from servers import Redis, Wall

SILENT = "third"
POLICY = "version: 1\nname: drivers\ntenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }\nidentity: { startup: { trust: [loopback] } }\nredis: { prefix: '{tenant}:' }\n"
# What differs from one run to the next: identifiers and times.
RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{24,32}\b|:\d+:[0-9a-f]{12}\b|\b\d{10,13}(\.\d+)?(-\d+)?\b")


class Raw:
    """Replies as they are; keys need not be text."""

    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), 10)
        self.reader = self.stream.makefile("rb")

    def __call__(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.stream.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.reply()

    def reply(self):
        line = self.reader.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ValueError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self.reader.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest


class Kind:
    TENANTS = ["acme", "globex"]
    COLUMNS = ["connect", "types", "pipeline", "transactions", "scripts", "messages", "streams", "blocking", "iteration", "errors", "keys"]
    EXPECTED = "redis/clients.txt"

    def __init__(self, work, here):
        name = type(self).__module__ + self.EXPECTED.replace("/", "-")
        homes = [os.path.join(work, f"{name}-{which}") for which in ("private", "shared", "wall")]
        for home in homes:
            os.mkdir(home)
        self.private, self.shared = Redis(homes[0]), Redis(homes[1])
        # Any password will do, as the wall takes the name for the tenant.
        Raw(self.private.port)("ACL", "SETUSER", "private", "on", "nopass", "~*", "&*", "+@all")
        self.wall = Wall(homes[2], {"redis": ("redis", "r", "drivers", "startup")}, [f"r: {{ address: '127.0.0.1:{self.shared.port}' }}"], {"drivers": POLICY})
        self.expected_lines = {}
        with open(os.path.join(here, self.EXPECTED), encoding="utf-8") as f:
            for line in f.read().splitlines():
                step, _, text = line.partition(": ")
                self.expected_lines.setdefault(step, []).append(text)

    def reset(self):
        for server in (self.private, self.shared):
            Raw(server.port)("FLUSHALL")
            Raw(server.port)("SCRIPT", "FLUSH")

    def before_tenants(self):
        """A third tenant has what the direct run left, under the same names."""
        private, shared = Raw(self.private.port), Raw(self.shared.port)
        for key in private("KEYS", "*"):
            shared("RESTORE", SILENT.encode() + b":" + key, 0, private("DUMP", key))
        for n in range(50):
            shared("SET", f"{SILENT}:more {n}", f"mark-{SILENT}")
        self.silent = self.dump(shared, f"{SILENT}:")

    @staticmethod
    def dump(raw, prefix):
        found = {}
        for key in raw("KEYS", prefix.encode() + b"*"):
            found[key[len(prefix):]] = (raw("TYPE", key), raw("DUMP", key))
        return found

    @staticmethod
    def mark(tenant):
        return f"mark-{tenant or 'private'}"

    def expected(self, driver):
        skipped = driver.get("without", [])
        return {s: [l for l in lines if f"{s}: {l}" not in skipped] for s, lines in self.expected_lines.items()}

    def direct(self, _driver):
        return self.environment(self.private.port, "private")

    def tenant(self, _driver, tenant):
        return self.environment(self.wall.ports["redis"], tenant)

    def environment(self, port, name):
        return {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": port, "REDIS_USER": name, "REDIS_PASSWORD": "any", "MARK": f"mark-{name}",
                "REDIS_URL": f"redis://{name}:any@127.0.0.1:{port}/0"}

    def normal(self, tenant, _driver):
        """How a line of this session reads without its own mark, its name, and what chance has put in."""
        def normal(line):
            line = line.replace(self.mark(tenant), "mark")
            return RANDOM.sub("#", line.replace(tenant or "private", "own"))
        return normal

    def foreign(self, tenant, lines):
        others = [self.mark(t) for t in [None, *self.TENANTS, SILENT] if t != tenant]
        return next((line for line in lines if any(mark in line for mark in others)), None)

    def names(self, found):
        """Types and names of keys, sorted, without what is by chance."""
        return sorted(f"{kind.decode()} {RANDOM.sub('#', name.decode(errors='backslashreplace'))}" for name, (kind, _) in found.items())

    def verdict(self, _driver):
        """What is wrong with the keys that the driver left."""
        private, shared = self.dump(Raw(self.private.port), ""), Raw(self.shared.port)
        for tenant in self.TENANTS:
            wanted, found = self.names(private), self.names(self.dump(shared, f"{tenant}:"))
            if found != wanted:
                odd = sorted(set(found) ^ set(wanted))
                yield f"{tenant} has {len(found)} keys, the private server {len(wanted)}; of one only: {odd[:4]}"
        if self.dump(shared, f"{SILENT}:") != self.silent:
            yield "a third tenant's keys have changed"
        known = tuple(f"{t}:".encode() for t in [*self.TENANTS, SILENT])
        nobody = [key for key in shared("KEYS", "*") if not key.startswith(known)]
        if nobody:
            yield f"there are keys of nobody: {nobody[:4]}"

    def quiet(self):
        """The wall has lived, and nothing in it panicked."""
        if self.wall.child.poll() is not None or "panicked" in self.wall.said():
            sys.exit(f"the wall has ended or panicked:\n{self.wall.said()}")


class Users(Kind):
    """What is built on Redis: queues, caches."""
    COLUMNS = ["connect", "work", "later", "failures", "results", "introspection", "keys"]
    EXPECTED = "redis/users.txt"
