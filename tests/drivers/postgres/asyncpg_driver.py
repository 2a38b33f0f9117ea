"""asyncpg: binary in and out, types looked up in the catalogs, a cache of prepared statements, cursors, COPY of records."""
import asyncio
import io
import json

import asyncpg
from common import COLUMNS, DATABASE, ERRORS, HOST, MARK, PORT, SYNTAX, TENANT, UNKNOWN_COLUMN, USER, VALUES, run, say, say_types


async def connect(**kw):
    settings = {"partywall.tenant": TENANT} if TENANT else {}
    connection = await asyncpg.connect(host=HOST, port=PORT, user=USER, database=DATABASE, server_settings=settings, ssl=False, timeout=10, **kw)
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    return connection


async def connect_step():
    connection = await connect()
    say("connect", f"server {connection.get_server_version().major}")
    say("connect", f"rows {await connection.fetchval('SELECT count(*) FROM things')}")
    say("connect", f"{connection.get_settings().server_encoding} {connection.get_settings().TimeZone}")
    await connection.reset()
    await connection.close()


async def types():
    connection = await connect()
    slots = ", ".join(f"${n}" for n in range(1, len(COLUMNS) + 1))
    await connection.execute(f"INSERT INTO things (id, {', '.join(COLUMNS)}) VALUES (1, {slots})", *[VALUES[c] for c in COLUMNS])
    statement = await connection.prepare(f"SELECT {', '.join(COLUMNS)} FROM things WHERE id = $1")
    say("types", f"found {','.join(a.type.name for a in statement.get_attributes())}")
    say_types(await statement.fetchrow(1))
    await connection.execute("INSERT INTO things (id, name, size, feeling) VALUES (2, $1, $2, $3)", f"types nulls {MARK}", None, None)
    say("types", f"nulls {sum(v is None for v in await statement.fetchrow(2))}")
    mood = await connection.fetchval("SELECT array_agg(feeling) FROM things WHERE id = 1")
    say("types", f"array of enum {mood}")
    whole = await connection.fetchval("SELECT (id, size) FROM things WHERE id = 1")
    say("types", f"record {tuple(whole)}")


async def prepared():
    connection = await connect()
    insert = await connection.prepare("INSERT INTO things (id, name, size) VALUES ($1, $2, $3) RETURNING size")
    say("prepared", f"takes {','.join(p.name for p in insert.get_parameters())}")
    made = [await insert.fetchval(100 + n, f"prepared {n} {MARK}", n) for n in range(20)]
    say("prepared", f"inserted {len(made)}")
    select = "SELECT size FROM things WHERE id = $1"
    statement = await connection.prepare(select, name="by_id")
    say("prepared", f"named {sum([await statement.fetchval(100 + n) for n in range(20)])}")
    plain = await connect(statement_cache_size=0)
    say("prepared", f"unnamed {sum([await plain.fetchval(select, 100 + n) for n in range(20)])}")
    any_of = [1, 100, 119, 9999]
    say("prepared", f"any {await connection.fetchval('SELECT count(*) FROM things WHERE id = ANY($1)', any_of)}")


async def transactions():
    connection = await connect()
    insert = "INSERT INTO things (id, name) VALUES ($1, $2)"
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(insert, 200, f"undone {MARK}")
    await transaction.rollback()
    say("transactions", f"rolled back {await connection.fetchval('SELECT count(*) FROM things WHERE id = 200')}")
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(insert, 201, f"kept 201 {MARK}")
        try:
            async with connection.transaction():
                await connection.execute(insert, 202, f"undone {MARK}")
                raise KeyError
        except KeyError:
            pass
        await connection.execute(insert, 203, f"kept 203 {MARK}")
    rows = await connection.fetch("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id")
    say("transactions", f"kept {','.join(str(r[0]) for r in rows)}")
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(insert, 201, f"again {MARK}")
    except asyncpg.UniqueViolationError:
        try:
            await connection.execute("SELECT 1")
        except asyncpg.InFailedSQLTransactionError as error:
            say("transactions", f"aborted {error.sqlstate}")
    await transaction.rollback()
    async with connection.transaction():
        for n in range(3):
            assert await connection.fetchval("INSERT INTO parts (thing_id, label) VALUES (201, $1) RETURNING id", f"part {n} {MARK}") > 0
    say("transactions", f"parts {await connection.fetchval('SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id')}")


async def errors():
    connection = await connect()
    for what, sql in ERRORS.items():
        for ask in (connection.execute, connection.fetch):  # simple, and extended
            try:
                await ask(sql)
            except asyncpg.PostgresError as error:
                say("errors", f"{what} {error.sqlstate}")
                say("errors", f"{what} {error.message} / {error.constraint_name} / {error.table_name}")
                if sql in (SYNTAX, UNKNOWN_COLUMN):
                    say("errors", f"{what} at {error.position}")
    try:
        await connection.fetch("SELECT sum(a * b) FROM generate_series(1, 20000) a, generate_series(1, 20000) b WHERE a + b <> $1", -1, timeout=0.3)
    except asyncio.TimeoutError:
        say("errors", "cancelled")  # the driver sends a cancel request
    say("errors", f"after {await connection.fetchval('SELECT 42')}")


async def bulk():
    connection = await connect()
    rows = [(1000 + n, f"bulk {n} {MARK}", n) for n in range(1000)]
    tag = await connection.copy_records_to_table("things", records=rows, columns=["id", "name", "size"])
    say("bulk", f"loaded {tag.split()[1]}")
    say("bulk", f"sum {await connection.fetchval('SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999')}")
    batch = [(2000 + n, f"batch {n} {MARK}", n) for n in range(100)]
    await connection.executemany("INSERT INTO things (id, name, size) VALUES ($1, $2, $3)", batch)
    say("bulk", f"batch {await connection.fetchval('SELECT count(*) FROM things WHERE id >= 2000')}")
    say("bulk", f"updated {(await connection.execute('UPDATE things SET size = size + 1 WHERE id BETWEEN $1 AND 1999', 1000)).split()[1]}")
    say("bulk", f"deleted {(await connection.execute('DELETE FROM things WHERE id >= 2000')).split()[1]}")
    out = io.BytesIO()
    tag = await connection.copy_from_query("SELECT id FROM things WHERE id >= $1 ORDER BY id", 1000, output=out, format="csv")
    say("bulk", f"out {tag} {out.getvalue().splitlines()[0].decode()}")
    async with connection.transaction():
        seen = [r[0] async for r in connection.cursor("SELECT id FROM things WHERE id >= $1 ORDER BY id", 1000, prefetch=70)]
    say("bulk", f"streamed {len(seen)}")
    pool = await asyncpg.create_pool(host=HOST, port=PORT, user=USER, database=DATABASE, ssl=False, min_size=2, max_size=4,
                                     server_settings={"partywall.tenant": TENANT} if TENANT else {})
    async with pool:
        counts = await asyncio.gather(*(pool.fetchval("SELECT count(*) FROM things WHERE id >= $1", 1000 + n) for n in range(20)))
    say("bulk", f"pool {counts}")
    say("bulk", f"total {await connection.fetchval('SELECT count(*) FROM things')}")


async def introspection():
    connection = await connect()
    rows = await connection.fetch("SELECT attname, format_type(atttypid, atttypmod) AS t, attnotnull FROM pg_attribute "
                                  "WHERE attrelid = 'things'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum")
    say("introspection", f"columns {','.join(r['attname'] for r in rows)}")
    for row in rows:
        say("introspection", f"column {row['attname']} {row['t']} {row['attnotnull']}")
    rows = await connection.fetch("SELECT a.attname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey) "
                                  "WHERE c.conrelid = $1::text::regclass AND c.contype = 'p' ORDER BY a.attnum", "things")
    say("introspection", f"key {','.join(r[0] for r in rows)}")


def waiting(step):
    return lambda: asyncio.run(step())


run(asyncpg.__version__, connect=waiting(connect_step), types=waiting(types), prepared=waiting(prepared), transactions=waiting(transactions),
    errors=waiting(errors), bulk=waiting(bulk), introspection=waiting(introspection))
