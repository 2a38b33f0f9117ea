"""psycopg2: the simple protocol, values written into the text by the driver."""
import io
import itertools

import psycopg2
import psycopg2.extras
from common import COLUMNS, DATABASE, ERRORS, HOST, MARK, OPTIONS, PORT, SYNTAX, UNKNOWN_COLUMN, USER, VALUES, run, say, say_types


def connect(autocommit=True):
    connection = psycopg2.connect(host=HOST, port=PORT, user=USER, dbname=DATABASE, options=OPTIONS or None, connect_timeout=10)
    connection.autocommit = autocommit
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    return connection


def one(cursor, sql, *values):
    cursor.execute(sql, values or None)
    return cursor.fetchone()[0]


def connect_step():
    connection = connect()
    say("connect", f"server {connection.server_version // 10000}")
    say("connect", f"encoding {connection.encoding}")
    with connection.cursor() as cursor:
        say("connect", f"rows {one(cursor, 'SELECT count(*) FROM things')}")
        cursor.execute("SET TIME ZONE 'Europe/Vienna'")
        say("connect", f"zone {one(cursor, 'SHOW TimeZone')} {connection.get_parameter_status('TimeZone')}")
    connection.close()


def types():
    cursor = connect().cursor()
    values = {**VALUES, "data": psycopg2.extras.Json(VALUES["data"])}
    slots = ", ".join("%s::mood" if c == "feeling" else "%s" for c in COLUMNS)
    cursor.execute(f"INSERT INTO things (id, {', '.join(COLUMNS)}) VALUES (1, {slots})", [values[c] for c in COLUMNS])
    cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM things WHERE id = 1")
    say("types", f"oids {','.join(d.name for d in cursor.description)}")
    say_types(cursor.fetchone())
    cursor.execute("INSERT INTO things (id, name) VALUES (2, %s)", [f"types nulls {MARK}"])
    cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM things WHERE id = 2")
    say("types", f"nulls {sum(v is None for v in cursor.fetchone())}")


def prepared():
    cursor = connect().cursor()
    cursor.execute("PREPARE ins (bigint, text, int) AS INSERT INTO things (id, name, size) VALUES ($1, $2, $3)")
    made = 0
    for n in range(20):
        cursor.execute("EXECUTE ins (%s, %s, %s)", (100 + n, f"prepared {n} {MARK}", n))
        made += cursor.rowcount
    say("prepared", f"inserted {made}")
    cursor.execute("PREPARE sel (bigint) AS SELECT size FROM things WHERE id = $1")
    say("prepared", f"named {sum(one(cursor, 'EXECUTE sel (%s)', 100 + n) for n in range(20))}")
    say("prepared", f"unnamed {sum(one(cursor, 'SELECT size FROM things WHERE id = %s', 100 + n) for n in range(20))}")
    say("prepared", f"any {one(cursor, 'SELECT count(*) FROM things WHERE id = ANY(%s)', [1, 100, 119, 9999])}")
    cursor.execute("DEALLOCATE sel")


def transactions():
    connection = connect(autocommit=False)
    cursor = connection.cursor()
    insert = "INSERT INTO things (id, name) VALUES (%s, %s)"
    cursor.execute(insert, (200, f"undone {MARK}"))
    connection.rollback()
    say("transactions", f"rolled back {one(cursor, 'SELECT count(*) FROM things WHERE id = 200')}")
    cursor.execute(insert, (201, f"kept 201 {MARK}"))
    cursor.execute("SAVEPOINT s")
    cursor.execute(insert, (202, f"undone {MARK}"))
    cursor.execute("ROLLBACK TO SAVEPOINT s")
    cursor.execute(insert, (203, f"kept 203 {MARK}"))
    connection.commit()
    cursor.execute("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id")
    say("transactions", f"kept {','.join(str(r[0]) for r in cursor)}")
    try:
        cursor.execute(insert, (201, f"again {MARK}"))
    except psycopg2.IntegrityError:
        try:
            cursor.execute("SELECT 1")
        except psycopg2.Error as error:
            say("transactions", f"aborted {error.pgcode} {connection.get_transaction_status()}".removesuffix(" 3"))
    connection.rollback()
    with connection:
        for n in range(3):
            cursor.execute("INSERT INTO parts (thing_id, label) VALUES (201, %s) RETURNING id", [f"part {n} {MARK}"])
            assert cursor.fetchone()[0] > 0
    say("transactions", f"parts {one(cursor, 'SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id')}")


def errors():
    cursor = connect().cursor()
    for what, sql in ERRORS.items():
        try:
            cursor.execute(sql)
        except psycopg2.Error as error:
            say("errors", f"{what} {error.pgcode}")
            say("errors", f"{what} says {error.diag.message_primary} / {error.diag.constraint_name} / {error.diag.table_name}")
            if sql in (SYNTAX, UNKNOWN_COLUMN):
                say("errors", f"{what} at {error.diag.statement_position}")
    say("errors", f"after {one(cursor, 'SELECT 42')}")


def bulk():
    cursor = connect().cursor()
    rows = "".join(f"{1000 + n}\tbulk {n} {MARK}\t{n}\n" for n in range(1000))
    cursor.copy_expert("COPY things (id, name, size) FROM STDIN", io.StringIO(rows))
    say("bulk", f"loaded {cursor.rowcount}")
    say("bulk", f"sum {one(cursor, 'SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999')}")
    batch = [(2000 + n, f"batch {n} {MARK}", n) for n in range(100)]
    psycopg2.extras.execute_values(cursor, "INSERT INTO things (id, name, size) VALUES %s", batch[:50])
    psycopg2.extras.execute_batch(cursor, "INSERT INTO things (id, name, size) VALUES (%s, %s, %s)", batch[50:])
    say("bulk", f"batch {one(cursor, 'SELECT count(*) FROM things WHERE id >= 2000')}")
    cursor.execute("UPDATE things SET size = size + 1 WHERE id BETWEEN 1000 AND 1999")
    say("bulk", f"updated {cursor.rowcount}")
    cursor.execute("DELETE FROM things WHERE id >= 2000")
    say("bulk", f"deleted {cursor.rowcount}")
    out = io.StringIO()
    cursor.copy_expert("COPY (SELECT id, name FROM things WHERE id >= 1000 ORDER BY id) TO STDOUT (FORMAT csv)", out)
    say("bulk", f"out {out.getvalue().count(chr(10))} {out.getvalue().splitlines()[0]}")
    reader = connect(autocommit=False)
    with reader.cursor("walk") as walk:
        walk.itersize = 70
        walk.execute("SELECT id FROM things WHERE id >= 1000 ORDER BY id")
        say("bulk", f"streamed {sum(1 for _ in itertools.takewhile(lambda r: r[0] < 2000, walk))}")
    reader.rollback()
    say("bulk", f"total {one(cursor, 'SELECT count(*) FROM things')}")


def introspection():
    cursor = connect().cursor()
    cursor.execute("SELECT column_name, data_type, is_nullable FROM information_schema.columns "
                   "WHERE table_schema = 'public' AND table_name = 'things' ORDER BY ordinal_position")
    rows = cursor.fetchall()
    say("introspection", f"columns {','.join(r[0] for r in rows)}")
    for row in rows:
        say("introspection", f"column {' '.join(row)}")
    cursor.execute("SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
                   "WHERE i.indrelid = 'things'::regclass AND i.indisprimary ORDER BY a.attnum")
    say("introspection", f"key {','.join(r[0] for r in cursor)}")
    cursor.execute("SELECT typname FROM pg_type WHERE oid = 'mood'::regtype")
    say("introspection", f"enum {cursor.fetchone()[0]}")


run(psycopg2.__version__.split()[0], connect=connect_step, types=types, prepared=prepared, transactions=transactions, errors=errors,
    bulk=bulk, introspection=introspection)
