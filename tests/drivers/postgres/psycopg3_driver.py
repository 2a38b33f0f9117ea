"""psycopg 3: the extended protocol, prepared by the driver itself, binary results, pipeline mode, COPY."""
import psycopg
from common import COLUMNS, DATABASE, ERRORS, HOST, MARK, OPTIONS, PORT, SYNTAX, UNKNOWN_COLUMN, USER, VALUES, run, say, say_types
from psycopg.types.enum import EnumInfo
from psycopg.types.json import Jsonb

WHERE = {"host": HOST, "port": PORT, "user": USER, "dbname": DATABASE, "options": OPTIONS, "connect_timeout": 10}
INSERT = "INSERT INTO things (id, name, size) VALUES (%s, %s, %s)"


def connect(autocommit=True, **kw):
    return psycopg.connect(**WHERE, autocommit=autocommit, **kw)


def one(connection, sql, *values, **kw):
    return connection.execute(sql, values, **kw).fetchone()[0]


def connect_step():
    with connect() as connection:
        say("connect", f"server {connection.info.server_version // 10000}")
        say("connect", f"rows {one(connection, 'SELECT count(*) FROM things')}")
        say("connect", f"{connection.info.encoding} {connection.info.transaction_status.name} {connection.info.parameter_status('DateStyle')}")


def types():
    connection = connect()
    info = EnumInfo.fetch(connection, "mood")
    say("types", f"labels {','.join(info.labels)} {info.name} {info.array_oid > 0}")
    values = {**VALUES, "data": Jsonb(VALUES["data"])}
    slots = ", ".join("%s" for _ in COLUMNS)
    connection.execute(f"INSERT INTO things (id, {', '.join(COLUMNS)}) VALUES (1, {slots})", [values[c] for c in COLUMNS])
    for binary in (False, True):
        if binary:
            info.register(connection)
        cursor = connection.cursor(binary=binary)
        row = list(cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM things WHERE id = %s", [1]).fetchone())
        feeling = COLUMNS.index("feeling")
        row[feeling] = getattr(row[feeling], "name", row[feeling])  # a text the first time
        say_types(row)
    connection.execute("INSERT INTO things (id, name, size, tags) VALUES (2, %s, %s, %s)", [f"types nulls {MARK}", None, None])
    row = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM things WHERE id = 2").fetchone()
    say("types", f"nulls {sum(v is None for v in row)}")


def prepared():
    connection = connect()
    made = sum(connection.execute(INSERT, (100 + n, f"prepared {n} {MARK}", n), prepare=True).rowcount for n in range(20))
    say("prepared", f"inserted {made}")
    select = "SELECT size FROM things WHERE id = %s"
    say("prepared", f"named {sum(one(connection, select, 100 + n, prepare=True) for n in range(20))}")
    say("prepared", f"unnamed {sum(one(connection, select, 100 + n, prepare=False) for n in range(20))}")
    connection.prepare_threshold, connection.prepared_max = 1, 3
    for n in range(12):  # more texts than may stay prepared: the driver deallocates
        one(connection, f"SELECT count(*) + {n} FROM things WHERE id = %s", n)
    say("prepared", f"any {one(connection, 'SELECT count(*) FROM things WHERE id = ANY(%s)', [1, 100, 119, 9999])}")


def transactions():
    connection = connect()
    insert = "INSERT INTO things (id, name) VALUES (%s, %s)"
    with connection.transaction(force_rollback=True):
        connection.execute(insert, (200, f"undone {MARK}"))
    say("transactions", f"rolled back {one(connection, 'SELECT count(*) FROM things WHERE id = 200')}")
    with connection.transaction():
        connection.execute(insert, (201, f"kept 201 {MARK}"))
        with connection.transaction(force_rollback=True):
            connection.execute(insert, (202, f"undone {MARK}"))
        connection.execute(insert, (203, f"kept 203 {MARK}"))
    rows = connection.execute("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id").fetchall()
    say("transactions", f"kept {','.join(str(r[0]) for r in rows)}")
    manual = connect(autocommit=False)
    try:
        manual.execute(insert, (201, f"again {MARK}"))
    except psycopg.errors.UniqueViolation:
        try:
            manual.execute("SELECT 1")
        except psycopg.errors.InFailedSqlTransaction as error:
            say("transactions", f"aborted {error.sqlstate}")
            say("transactions", f"status {manual.info.transaction_status.name}")
    manual.rollback()
    with connection.transaction():
        for n in range(3):
            sql = "INSERT INTO parts (thing_id, label) VALUES (201, %s) RETURNING id"
            assert connection.execute(sql, [f"part {n} {MARK}"]).fetchone()[0] > 0
    say("transactions", f"parts {one(connection, 'SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id')}")


def errors():
    connection = connect()
    for what, sql in ERRORS.items():
        for prepare in (False, True):
            try:
                connection.execute(sql, prepare=prepare)
            except psycopg.Error as error:
                say("errors", f"{what} {error.sqlstate}")
                say("errors", f"{what} {error.diag.message_primary} / {error.diag.constraint_name} / {error.diag.table_name}")
                if sql in (SYNTAX, UNKNOWN_COLUMN):
                    say("errors", f"{what} at {error.diag.statement_position}")
    try:
        with connection.pipeline():
            kept = connection.execute("SELECT 1")
            connection.execute("SELECT 1/0")
            connection.execute("SELECT 2")
    except psycopg.Error as error:
        say("errors", f"pipeline {error.sqlstate} {kept.fetchone()[0]}")
    say("errors", f"after {one(connection, 'SELECT 42')}")


def bulk():
    connection = connect()
    cursor = connection.cursor()
    with cursor.copy("COPY things (id, name, size) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int8", "text", "int4"])
        for n in range(500):
            copy.write_row((1000 + n, f"bulk {n} {MARK}", n))
    with cursor.copy("COPY things (id, name, size) FROM STDIN") as copy:
        for n in range(500, 1000):
            copy.write_row((1000 + n, f"bulk {n} {MARK}", n))
    say("bulk", f"loaded {500 + cursor.rowcount}")
    say("bulk", f"sum {one(connection, 'SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999')}")
    cursor.executemany(INSERT + " RETURNING size", [(2000 + n, f"batch {n} {MARK}", n) for n in range(100)], returning=True)
    say("bulk", f"batch {sum(1 for _ in cursor.results())}")
    say("bulk", f"updated {connection.execute('UPDATE things SET size = size + 1 WHERE id BETWEEN 1000 AND 1999').rowcount}")
    say("bulk", f"deleted {connection.execute('DELETE FROM things WHERE id >= 2000').rowcount}")
    with cursor.copy("COPY (SELECT id, size FROM things WHERE id >= 1000 ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
        copy.set_types(["int8", "int4"])
        rows = list(copy.rows())
    say("bulk", f"out {len(rows)} {rows[-1]}")
    with connection.transaction(), connection.cursor("walk") as walk:
        walk.itersize = 70
        say("bulk", f"streamed {sum(1 for _ in walk.execute('SELECT id FROM things WHERE id >= %s', [1000]))}")
    with connect() as other:
        say("bulk", f"singly {sum(1 for _ in other.cursor().stream('SELECT id FROM things WHERE id >= 1000'))}")
    say("bulk", f"total {one(connection, 'SELECT count(*) FROM things')}")


def introspection():
    connection = connect()
    rows = connection.execute("SELECT column_name, udt_name, is_nullable FROM information_schema.columns "
                              "WHERE table_name = %s ORDER BY ordinal_position", ["things"]).fetchall()
    say("introspection", f"columns {','.join(r[0] for r in rows)}")
    for row in rows:
        say("introspection", f"column {' '.join(row)}")
    rows = connection.execute("SELECT k.column_name FROM information_schema.table_constraints c JOIN information_schema.key_column_usage k "
                              "USING (constraint_schema, constraint_name) WHERE c.table_name = %s AND c.constraint_type = 'PRIMARY KEY' "
                              "ORDER BY k.ordinal_position", ["things"]).fetchall()
    say("introspection", f"key {','.join(r[0] for r in rows)}")


run(psycopg.__version__, connect=connect_step, types=types, prepared=prepared, transactions=transactions, errors=errors, bulk=bulk,
    introspection=introspection)
