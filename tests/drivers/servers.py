"""Throwaway servers for the drivers: PostgreSQL and the wall, on free ports of loopback, ended with the run."""
import atexit
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
RUNNING = []


def account():
    """Root may not run PostgreSQL."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command, **kw):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **kw)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def spawn(*command, **kw):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, **kw)
    RUNNING.append(child)
    return child


def end_all():
    for child in reversed(RUNNING):
        if child.poll() is None:
            child.send_signal(signal.SIGINT)  # PostgreSQL waits for its clients on SIGTERM
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
    RUNNING.clear()


def workplace():
    """A directory that goes when the run ends, after the servers."""
    work = tempfile.mkdtemp(prefix="partywall-drivers-")
    os.chmod(work, 0o755)
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    atexit.register(end_all)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return work


def wait_port(port, child, log):
    end = time.time() + 30
    while time.time() < end and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    with open(log, encoding="utf-8") as f:
        sys.exit(f"{child.args[0]} does not answer:\n{f.read()}")


class Postgres:
    def __init__(self, work):
        binaries = "/usr/lib/postgresql/15/bin"
        if not os.path.exists(binaries):
            binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[4]))[-1]
        self.port, data, log = free_port(), os.path.join(work, "pg"), os.path.join(work, "pg.log")
        os.mkdir(data)
        if account():
            shutil.chown(data, "postgres", "postgres")
        run(f"{binaries}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", cwd="/", **account())
        server = [f"{binaries}/postgres", "-D", data, "-k", data, "-h", "127.0.0.1", "-p", str(self.port), "-F"]
        with open(log, "w", encoding="utf-8") as f:
            child = spawn(*server, "-c", "max_connections=120", "-c", "autovacuum=off", cwd="/", stdout=f, stderr=f, **account())
        wait_port(self.port, child, log)
        ready = ["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c", ""]
        for _ in range(200):  # it listens before it answers
            if subprocess.run(ready, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
                break
            time.sleep(0.1)

    def psql(self, database, sql):
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        return run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *where, "-c", sql).strip()


class Redis:
    def __init__(self, work):
        self.port, log = free_port(), os.path.join(work, "redis.log")
        quiet = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", work]
        with open(log, "w", encoding="utf-8") as f:
            child = spawn("redis-server", "--port", str(self.port), *quiet, stdout=f, stderr=f)
        wait_port(self.port, child, log)

    def cli(self, *words):
        return run("redis-cli", "-p", str(self.port), "--raw", *words)


class Wall:
    """Listeners by name: (protocol, upstream, policy, identity, and fields more). Policies are files' texts by name, `more` other files'."""

    def __init__(self, work, listeners, upstreams, policies, more=None):
        home = os.path.join(work, "wall")
        os.makedirs(os.path.join(home, "policies"))
        lines = [f"  - {{ name: {name}, protocol: {protocol}, listen: '127.0.0.1:0', upstream: {upstream}, policy: {policy}, "
                 f"identity: [{identity}]{', ' if extra else ''}{', '.join(extra)} }}"
                 for name, (protocol, upstream, policy, identity, *extra) in listeners.items()]
        config = "listeners:\n" + "\n".join(lines) + "\nupstreams:\n" + "".join(f"  {u}\n" for u in upstreams) + "policies: policies/\n"
        for file, text in {"partywall.yaml": config, **{f"policies/{n}.yaml": t for n, t in policies.items()}, **(more or {})}.items():
            with open(os.path.join(home, file), "w", encoding="utf-8") as f:
                f.write(text)
        self.log = os.path.join(home, "log")
        program = os.path.join(TARGET, "debug", "partywall")
        with open(self.log, "w", encoding="utf-8") as log:
            self.child = spawn(program, "serve", "--config", "partywall.yaml", cwd=home, stdout=subprocess.PIPE, stderr=log, text=True)
        self.ports = {}
        for _ in listeners:
            line = self.child.stdout.readline()
            if not line:
                sys.exit(f"the wall does not start:\n{self.said()}")
            name, rest = line.split(": ", 1)
            self.ports[name] = int(rest.split(" on ", 1)[1].split()[0].rsplit(":", 1)[1])

    def said(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()
