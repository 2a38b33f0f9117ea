#!/usr/bin/env python3
"""What the wall takes of many: idle and busy connections, tenants, tables of a policy, distinct statements.

    python3 benches/scale.py [--only idle,busy,tenants,tables,statements] [--connections 10000] [--tables 10000] [--statements 100000]

The counts can be made smaller; what was measured is in each line. Servers are throwaway ones on loopback.
"""

import argparse
import atexit
import os
import shutil
import signal
import socket
import statistics
import struct
import sys
import tempfile
import time

import bench
from bench import free_port, on_cpu, psql, resident, spawn, start_wall, wait_port

REDIS_POLICY = "version: 1\nname: r\ntenants: { id: '[a-z0-9]+' }\nidentity: { startup: { parameter: t, user: '{tenant}', trust: [loopback] } }\nredis: { prefix: '{tenant}:' }\n"


def redis_server():
    port = free_port()
    wait_port(port, spawn("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--maxclients", "20000"))
    return port


def redis_wall(work, name, direct, multiplex=""):
    port = free_port()
    listener = f"  - {{ name: r, protocol: redis, listen: 127.0.0.1:{port}, upstream: r, policy: r, identity: [startup] }}\n"
    child, _ = start_wall(work, name, listener, f"  r: {{ address: 127.0.0.1:{direct}{multiplex} }}\n", {"policies/r.yaml": REDIS_POLICY})
    return port, child


def redis_client(port, tenant):
    client = socket.create_connection(("127.0.0.1", port), 30)
    client.sendall(f"AUTH {tenant} x\r\nPING\r\n".encode())
    answer = b""
    while answer != b"+OK\r\n+PONG\r\n":
        more = client.recv(64)
        answer += more
        if not more or answer[:1] == b"-":
            sys.exit(f"no PONG: {answer}")
    return client


def idle(work, arguments):
    """Connections that say nothing, each with one upstream, and over a shared one."""
    direct = redis_server()
    count = arguments.connections
    for name, multiplex in (("a connection upstream each", ""), ("one shared", ", multiplex: { connections: 1 }")):
        port, child = redis_wall(work, "idle-" + name.split()[0], direct, multiplex)
        held = [redis_client(port, "t1") for _ in range(100)]
        time.sleep(1)
        before, busy = resident(child), on_cpu(child)
        held += [redis_client(port, f"t{n % 1000}") for n in range(count - 100)]
        time.sleep(2)
        taken = (on_cpu(child) - busy) / (count - 100) * 1e6
        busy = on_cpu(child)
        time.sleep(2)
        print(f"| {count:,} idle Redis connections, {name} | {(resident(child) - before) * 2**20 / (count - 100):,.0f} bytes each, "
              f"{resident(child):.0f} MiB in all, {taken:.0f} µs to begin one, {(on_cpu(child) - busy) / 2 * 100:.1f} % of a processor at rest |", flush=True)
        for client in held:
            client.close()
        bench.end(child)


def busy(work, arguments):
    """Clients that all ask at once."""
    direct, clients = redis_server(), 1000
    port, child = redis_wall(work, "busy", direct)
    relay, relayed = bench.start_relay(direct)
    for name, at, process, user in (("wall", port, child, ["--user", "t1", "-a", "x"]), ("bare relay", relay, relayed, [])):
        before = on_cpu(process)
        out = bench.run("redis-benchmark", "-h", "127.0.0.1", "-p", str(at), *user, "-t", "get", "-c", str(clients), "-n", "100000", "-r", "100000",
                        "-d", "100", "--csv", "-q")
        row = [line.split(",") for line in out.splitlines() if line.startswith('"GET')][0]
        print(f"| {clients} busy Redis clients, {name} | {float(row[1].strip(chr(34))):,.0f} GET/s, {(on_cpu(process) - before) * 10:.1f} µs each, "
              f"{resident(process):.0f} MiB |", flush=True)


def tenants(work, arguments):
    """Tenants that each came once."""
    direct, count = redis_server(), arguments.tenants
    port, child = redis_wall(work, "tenants", direct, ", multiplex: { connections: 1 }")
    [redis_client(port, f"w{n}").close() for n in range(100)]
    before, begin, spent = resident(child), time.perf_counter(), on_cpu(child)
    for n in range(count):
        redis_client(port, f"t{n}").close()
    print(f"| {count:,} tenants, one after another | {(resident(child) - before) * 2**20 / count:,.0f} bytes each, {resident(child):.0f} MiB in all, "
          f"{(on_cpu(child) - spent) / count * 1e6:.0f} µs each, {time.perf_counter() - begin:.0f} s |", flush=True)


def tables(work, arguments):
    """A policy of many tables: start, and reload."""
    direct, count = bench.start_postgres(os.path.join(work, "tables-server")), arguments.tables
    psql(direct, "postgres", "CREATE DATABASE many")
    for first in range(0, count, 500):
        psql(direct, "many", "".join(f"CREATE TABLE t{n} (id bigint PRIMARY KEY, tenant_id text NOT NULL, a text, b int, c timestamptz);"
                                     for n in range(first, min(first + 500, count))))
    policy = ("version: 1\nname: many\ntenants: { id: '[a-z0-9]+' }\nidentity: { static: { tenant: t1 } }\npostgres:\n  layout: rows\n  tables:\n"
              + "".join(f"    public.t{n}: {{ scoped: tenant_id }}\n" for n in range(count)))
    port, admin = free_port(), free_port()
    listener = f"  - {{ name: pg, protocol: postgres, listen: 127.0.0.1:{port}, upstream: db, policy: many, identity: [static] }}\n"
    upstreams = f"  db: {{ address: 127.0.0.1:{direct}, database: many, user: postgres }}\nadmin: 127.0.0.1:{admin}\n"
    child, took = start_wall(work, "wall-tables", listener, upstreams, {"policies/many.yaml": policy})
    print(f"| a policy of {count:,} tables: start to ready | {took * 1000:.0f} ms, of it {on_cpu(child) * 1000:.0f} ms on a processor, {resident(child):.0f} MiB |")
    log, spent, waited = os.path.join(work, "wall-tables.log"), [], []

    def renewals():
        with open(log, encoding="utf-8") as f:
            return f.read().count("renewed")

    for number in range(5):
        # Nothing is renewed where nothing changed.
        with open(os.path.join(work, "wall-tables", "policies", "many.yaml"), "w", encoding="utf-8") as f:
            f.write(policy.replace("public.t0: { scoped: tenant_id }", "public.t0: { hidden: true }") if number % 2 == 0 else policy)
        known, before, begin = renewals(), on_cpu(child), time.perf_counter()
        child.send_signal(signal.SIGHUP)
        while renewals() == known:
            if time.perf_counter() - begin > 60:
                sys.exit("the reload did not end")
            time.sleep(0.005)
        spent.append((on_cpu(child) - before) * 1000)
        waited.append((time.perf_counter() - begin) * 1000)
    print(f"| its reload, median of 5 | {statistics.median(spent):.0f} ms on a processor, over within {statistics.median(waited):.0f} ms, most of it the server's |", flush=True)


def message(tag, body):
    return tag + struct.pack("!i", len(body) + 4) + body


def statements(work, arguments):
    """Texts that differ in more than constants, by one connection, each prepared without a name and described."""
    direct, count = bench.start_postgres(os.path.join(work, "statements-server")), arguments.statements
    psql(direct, "postgres", "CREATE DATABASE bench")
    psql(direct, "bench", "CREATE TABLE orders (id bigint PRIMARY KEY, tenant_id text NOT NULL, customer_id bigint, status text)")
    policy = ("version: 1\nname: s\ntenants: { id: '[a-z0-9]+' }\nidentity: { static: { tenant: t1 } }\npostgres:\n  layout: rows\n  tables:\n"
              "    public.orders: { scoped: tenant_id }\n")
    port = free_port()
    listener = f"  - {{ name: pg, protocol: postgres, listen: 127.0.0.1:{port}, upstream: db, policy: s, identity: [static] }}\n"
    child, _ = start_wall(work, "wall-statements", listener, f"  db: {{ address: 127.0.0.1:{direct}, database: bench, user: postgres }}\n", {"policies/s.yaml": policy})
    client = socket.create_connection(("127.0.0.1", port), 30)
    body = struct.pack("!i", 196608) + b"user\0postgres\0database\0bench\0\0"
    client.sendall(struct.pack("!i", len(body) + 4) + body)
    stream = client.makefile("rb")

    def until_ready():
        while True:
            tag, (length,) = stream.read(1), struct.unpack("!i", stream.read(4))
            text = stream.read(length - 4)
            if tag == b"E":
                sys.exit(f"refused: {text}")
            if tag == b"Z":
                return

    until_ready()
    before, spent = resident(child), on_cpu(child)
    for first in range(0, count, 50):
        text = b""
        for n in range(first, first + 50):
            sql = f'SELECT "orders"."id", "orders"."customer_id", "orders"."status" FROM "orders" WHERE "orders"."id" = $1 AND "status" = $2 LIMIT 1 -- {n}'
            sql = sql.replace('"orders"', f'"o{n}"').replace(f'FROM "o{n}"', f'FROM "orders" "o{n}"')
            text += message(b"P", b"\0" + sql.encode() + b"\0\0\0")
        client.sendall(text + message(b"S", b""))
        until_ready()
    print(f"| {count:,} distinct statements by Parse | {(on_cpu(child) - spent) / count * 1e6:.0f} µs each on a processor, "
          f"{before:.0f} MiB before, {resident(child):.0f} MiB behind |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="idle,busy,tenants,tables,statements")
    for name, count in (("connections", 10_000), ("tenants", 100_000), ("tables", 10_000), ("statements", 100_000)):
        parser.add_argument("--" + name, type=int, default=count)
    arguments = parser.parse_args()
    work = tempfile.mkdtemp(prefix="partywall-scale-")
    os.chmod(work, 0o711)

    def clean():
        for child in reversed(bench.RUNNING):
            bench.end(child)
        shutil.rmtree(work, ignore_errors=True)

    atexit.register(clean)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print("| | |\n|---|---|")
    for name in arguments.only.split(","):
        os.mkdir(os.path.join(work, name + "-server"))
        os.chmod(os.path.join(work, name + "-server"), 0o711)
        {"idle": idle, "busy": busy, "tenants": tenants, "tables": tables, "statements": statements}[name](work, arguments)


if __name__ == "__main__":
    main()
