"""pg8000: pure Python, the extended protocol always, text results, its native interface and DB-API."""
import io

import pg8000.dbapi
import pg8000.native
from common import COLUMNS, DATABASE, ERRORS, HOST, MARK, PORT, SYNTAX, TENANT, UNKNOWN_COLUMN, USER, VALUES, run, say, say_types

WHERE = {"user": USER, "host": HOST, "port": PORT, "database": DATABASE, "timeout": 20}
if TENANT:
    WHERE["startup_params"] = {"partywall.tenant": TENANT}
INSERT = "INSERT INTO things (id, name, size) VALUES (:id, :name, :size)"


def native():
    return pg8000.native.Connection(**WHERE)


def one(connection, sql, **values):
    return connection.run(sql, **values)[0][0]


def connect():
    connection = native()
    status = connection.parameter_statuses
    say("connect", f"server {status['server_version'].split('.')[0]}")
    say("connect", f"rows {one(connection, 'SELECT count(*) FROM things')}")
    say("connect", f"{status['server_encoding']} {status['TimeZone']} {status['integer_datetimes']}")
    connection.close()


def types():
    connection = native()
    # Its arrays of texts do not quote NULL away from "NULL"; a dict is jsonb by the column.
    slots = ", ".join(f":{c}" for c in COLUMNS)
    connection.run(f"INSERT INTO things (id, {', '.join(COLUMNS)}) VALUES (1, {slots})", **VALUES)
    rows = connection.run(f"SELECT {', '.join(COLUMNS)} FROM things WHERE id = :id", id=1)
    say("types", f"oids {[c['type_oid'] if c['type_oid'] < 10000 else 'own' for c in connection.columns]}")
    say_types(rows[0])
    connection.run("INSERT INTO things (id, name, size) VALUES (2, :name, :size)", name=f"types nulls {MARK}", size=None)
    empty = connection.run(f"SELECT {', '.join(COLUMNS)} FROM things WHERE id = 2")[0]
    say("types", f"nulls {sum(v is None for v in empty)}")


def prepared():
    connection = native()
    insert = connection.prepare(INSERT)
    for n in range(20):
        insert.run(id=100 + n, name=f"prepared {n} {MARK}", size=n)
    insert.close()
    say("prepared", f"inserted {one(connection, 'SELECT count(*) FROM things WHERE id BETWEEN 100 AND 119')}")
    by_id = connection.prepare("SELECT size FROM things WHERE id = :id")
    say("prepared", f"named {sum(by_id.run(id=100 + n)[0][0] for n in range(20))}")
    by_id.close()
    say("prepared", f"unnamed {sum(one(connection, 'SELECT size FROM things WHERE id = :id', id=100 + n) for n in range(20))}")
    say("prepared", f"any {one(connection, 'SELECT count(*) FROM things WHERE id = ANY(:ids)', ids=[1, 100, 119, 9999])}")


def transactions():
    connection = pg8000.dbapi.connect(**WHERE)
    cursor = connection.cursor()
    insert = "INSERT INTO things (id, name) VALUES (%s, %s)"

    def ask(sql):
        cursor.execute(sql)
        return cursor.fetchall()

    cursor.execute(insert, (200, f"undone {MARK}"))
    connection.rollback()
    say("transactions", f"rolled back {ask('SELECT count(*) FROM things WHERE id = 200')[0][0]}")
    cursor.execute(insert, (201, f"kept 201 {MARK}"))
    cursor.execute("SAVEPOINT s")
    cursor.execute(insert, (202, f"undone {MARK}"))
    cursor.execute("ROLLBACK TO SAVEPOINT s")
    cursor.execute(insert, (203, f"kept 203 {MARK}"))
    connection.commit()
    say("transactions", f"kept {','.join(str(r[0]) for r in ask('SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id'))}")
    try:
        cursor.execute(insert, (201, f"again {MARK}"))
    except pg8000.dbapi.DatabaseError:
        try:
            cursor.execute("SELECT 1")
        except pg8000.dbapi.DatabaseError as error:
            say("transactions", f"aborted {error.args[0]['C']}")
    connection.rollback()
    for n in range(3):
        cursor.execute("INSERT INTO parts (thing_id, label) VALUES (201, %s) RETURNING id", (f"part {n} {MARK}",))
        assert cursor.fetchone()[0] > 0
    connection.commit()
    say("transactions", f"parts {ask('SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id')[0][0]}")
    connection.commit()


def errors():
    connection = native()
    for what, sql in ERRORS.items():
        try:
            connection.run(sql.replace("::", "\\:\\:") if "\\:" in sql else sql)
        except pg8000.native.DatabaseError as error:
            fields = error.args[0]
            say("errors", f"{what} {fields['C']}")
            say("errors", f"{what} {fields['M']} / {fields.get('n')} / {fields.get('t')}")
            if sql in (SYNTAX, UNKNOWN_COLUMN):
                say("errors", f"{what} at {fields['P']}")
    say("errors", f"after {one(connection, 'SELECT 42')}")


def bulk():
    connection = native()
    rows = io.StringIO("".join(f"{1000 + n}\tbulk {n} {MARK}\t{n}\n" for n in range(1000)))
    connection.run("COPY things (id, name, size) FROM STDIN", stream=rows)
    say("bulk", f"loaded {connection.row_count}")
    say("bulk", f"sum {one(connection, 'SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999')}")
    plain = pg8000.dbapi.connect(**WHERE)
    plain.autocommit = True
    cursor = plain.cursor()
    cursor.executemany("INSERT INTO things (id, name, size) VALUES (%s, %s, %s)", [(2000 + n, f"batch {n} {MARK}", n) for n in range(100)])
    say("bulk", f"batch {one(connection, 'SELECT count(*) FROM things WHERE id >= 2000')}")
    cursor.execute("UPDATE things SET size = size + 1 WHERE id BETWEEN 1000 AND 1999")
    say("bulk", f"updated {cursor.rowcount}")
    cursor.execute("DELETE FROM things WHERE id >= 2000")
    say("bulk", f"deleted {cursor.rowcount}")
    out = io.BytesIO()
    connection.run("COPY (SELECT id, name FROM things WHERE id >= 1000 ORDER BY id) TO STDOUT (FORMAT csv)", stream=out)
    lines = out.getvalue().decode().splitlines()
    say("bulk", f"out {len(lines)} {lines[0]}")
    connection.run("BEGIN")
    connection.run("DECLARE walk CURSOR FOR SELECT id FROM things WHERE id >= 1000 ORDER BY id")
    seen = 0
    while page := connection.run("FETCH 70 FROM walk"):
        seen += len(page)
    connection.run("COMMIT")
    say("bulk", f"streamed {seen}")
    say("bulk", f"total {one(connection, 'SELECT count(*) FROM things')}")


def introspection():
    connection = native()
    rows = connection.run("SELECT column_name, udt_name, is_nullable FROM information_schema.columns WHERE table_name = :t ORDER BY ordinal_position", t="things")
    say("introspection", f"columns {','.join(r[0] for r in rows)}")
    for row in rows:
        say("introspection", f"column {' '.join(row)}")
    rows = connection.run("SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
                          "WHERE i.indrelid = CAST(:t AS regclass) AND i.indisprimary ORDER BY a.attnum", t="things")
    say("introspection", f"key {','.join(r[0] for r in rows)}")


run(pg8000.__version__, connect=connect, types=types, prepared=prepared, transactions=transactions, errors=errors, bulk=bulk,
    introspection=introspection)
