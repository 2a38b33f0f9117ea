"""The world of one attack: a shared server behind the wall, a private one, the victim and the attacker."""
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from resp import Client, Closed, Err, Quiet, encode, split

POLICY = """version: 1
name: redis
tenants: {{ id: '{tenants}' }}
identity: {{ startup: {{ trust: [loopback] }} }}
redis: {{ prefix: '{prefix}'{more} }}
limits: {{ default: {{ connections: 200 }} }}
"""


def ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return found


# How the wall comes to its server.
UPSTREAMS = {"alone": "", "shared": ", multiplex: { connections: 1 }", "cluster": ", cluster: {}",
             "shared-cluster": ", cluster: {}, multiplex: { connections: 1 }"}
# The same with a user of the server's own for each tenant.
UPSTREAMS |= {f"{name}-acl": UPSTREAMS[name] for name in ("alone", "shared")}


class World:
    """Servers and the wall, under one prefix."""

    def __init__(self, binary, prefix, upstream="alone", everyone="[a-z0-9][a-z0-9-]{0,62}"):
        self.prefix, self.upstream, self.broken = prefix, upstream, False
        self.shared_port, self.private_port, self.port, bus = ports(4)
        clustered = upstream.endswith("cluster")
        self.databases = 1 if clustered else 16
        self.directory = tempfile.TemporaryDirectory(prefix="partywall-redis-")
        self.processes = []
        for port in (self.shared_port, self.private_port):
            self.start(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                        "--notify-keyspace-events", "KEA", "--dir", self.directory.name,
                        "--logfile", f"redis-{port}.log",
                        *(["--cluster-enabled", "yes", "--cluster-port", str(bus)] if clustered and port == self.shared_port else [])])
        for port in (self.shared_port, self.private_port):
            self.await_port(port)
        self.admin, self.private = Client(self.shared_port, timeout=90), Client(self.private_port, timeout=90)
        self.admin.keep = False
        if clustered:
            # All slots in one node: what the wall does for a cluster is the same.
            self.admin.ask(["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
            while b"cluster_state:ok" not in self.admin.ask(["CLUSTER", "INFO"]):
                time.sleep(0.05)
        work, self.log = Path(self.directory.name), open(Path(self.directory.name, "wall.log"), "w+b")
        if binary is None:
            # No wall: to see that what is not held is noticed.
            self.port, self.wall = self.shared_port, self.processes[0]
            for tenant in ("a", "b"):
                self.admin.ask(["ACL", "SETUSER", tenant, "on", "nopass", "~*", "&*", "+@all"])
            return
        (work / "policies").mkdir()
        (work / "policies/redis.yaml").write_text(POLICY.format(prefix=prefix, tenants=everyone, more=", backstop: acl" if upstream.endswith("-acl") else ""))
        (work / "partywall.yaml").write_text(
            f"listeners:\n  - {{ name: redis, protocol: redis, listen: '127.0.0.1:{self.port}', upstream: r, policy: redis, identity: [startup] }}\n"
            f"upstreams:\n  r: {{ address: '127.0.0.1:{self.shared_port}'{UPSTREAMS[upstream]} }}\npolicies: policies/\n")
        self.wall = self.start([binary, "serve", "--config", "partywall.yaml"], cwd=work, stderr=self.log)
        self.await_port(self.port)

    def start(self, command, **options):
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        self.processes.append(subprocess.Popen(command, **options))
        return self.processes[-1]

    def await_port(self, port):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"nothing listens on {port}: {Path(self.directory.name, 'wall.log').read_text()}")

    def stop(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        self.directory.cleanup()

    def alive(self):
        """All processes run, and the wall has not panicked."""
        self.log.seek(0)
        return all(p.poll() is None for p in self.processes) and b"panicked" not in self.log.read()

    def raw(self, tenant, name=""):
        """The physical name of a tenant's key."""
        return self.prefix.replace("{tenant}", tenant) + name

    def library(self, tenant):
        """What stands before the names of a tenant's libraries, as its own have it upstream."""
        own = b"pw" + self.raw(tenant).encode().hex().encode()
        for library in self.admin.ask([b"FUNCTION", b"LIST", b"LIBRARYNAME", own + b"v*"]) or []:
            return re.match(rb"pw[0-9a-f]*v[0-9a-f]*_", library[1])[0]
        return own + b"v0123456789abcdef_"

    def fill(self, text, tenant=None):
        """`{RAW:b:k}` and `{LIBRARY:b}` in words."""
        def put(match):
            owner, _, name = match[1].decode().partition(":")
            return self.raw(owner, name).encode()
        text = re.sub(rb"\{LIBRARY:(\w+)\}", lambda match: self.library(match[1].decode()), text)
        return re.sub(rb"\{RAW:([^}]*)\}", put, text)

    def words(self, line):
        """A line as words, with physical names put in after the split, since a prefix may hold anything."""
        return [self.fill(word) for word in split(line)]

    def clear(self):
        for client in (self.admin, self.private):
            for command in (["FLUSHALL"], ["SCRIPT", "FLUSH"], ["FUNCTION", "FLUSH"]):
                client.ask(command, timeout=60)

    def user(self, tenant="a", **options):
        return Client(self.port, tenant, **options)

    def store(self, without=None):
        """Every key of every database with its value and its expiry, but those of `without`."""
        own = self.raw(without).encode() if without else None
        found = {}
        for database in range(self.databases):
            self.admin.ask([b"SELECT", b"%d" % database])
            for key in self.keys():
                if own is None or not key.startswith(own):
                    found[database, key] = (self.admin.ask([b"DUMP", key], timeout=60), self.admin.ask([b"PEXPIRETIME", key]))
        self.admin.ask([b"SELECT", b"0"])
        return found

    def keys(self):
        keys = self.admin.ask([b"KEYS", b"*"], timeout=60)
        if isinstance(keys, Err):
            raise Closed(f"the server says {keys}")
        return keys

    def strangers(self):
        """Keys that are nobody's."""
        owners = [self.raw(t).encode() for t in ("a", "b")]
        found = []
        for database in range(self.databases):
            self.admin.ask([b"SELECT", b"%d" % database])
            found += [k for k in self.keys() if not any(k.startswith(o) for o in owners)]
        self.admin.ask([b"SELECT", b"0"])
        return found


class Loop(threading.Thread):
    """The victim's GETs, one after the other, and how long each took."""

    def __init__(self, world, pause=0.001):
        super().__init__(daemon=True)
        self.client, self.pause, self.times, self.wrong, self.over = world.user("b", timeout=60), pause, [], [], False
        self.client.keep = False
        self.client.ask(["SET", "k", "SECRET-B"])

    def run(self):
        while not self.over:
            began = time.monotonic()
            try:
                said = self.client.ask(["GET", "k"])
            except (Closed, Quiet) as error:
                self.wrong.append(repr(error))
                return
            self.times.append(time.monotonic() - began)
            if said != b"SECRET-B":
                self.wrong.append(repr(said)[:80])
            time.sleep(self.pause)

    def stop(self):
        self.over = True
        self.join(90)
        return self.times

    def p99(self):
        times = sorted(self.times)
        return times[int(len(times) * 0.99)] if times else float("inf")


__all__ = ["Client", "Closed", "Err", "Loop", "Quiet", "World", "encode", "os", "split"]
