"""psycopg 3: rows, parameters in text and binary, transactions, errors, pipelines, prepared statements."""
import datetime
import decimal
import uuid

import psycopg
from psycopg import errors
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from common import DSN, options, raises


def connect(tenant, **more):
    return psycopg.connect(DSN, options=options(tenant), **more)


with connect("acme") as acme, connect("globex") as globex:
    assert acme.execute("SELECT count(*) FROM things").fetchone() == (0,)
    globex.execute("INSERT INTO things (name) VALUES ('theirs')")
    globex.commit()
    row = acme.execute("INSERT INTO things (name, size) VALUES (%s, %s) RETURNING id, name", ("mine", 3)).fetchone()
    assert row[1] == "mine"
    acme.commit()
    assert acme.execute("SELECT name FROM things").fetchall() == [("mine",)]
    assert acme.execute("UPDATE things SET size = size + %s WHERE name = %s", (4, "mine")).rowcount == 1
    assert acme.execute("SELECT size FROM things WHERE id = %(id)s", {"id": row[0]}).fetchone() == (7,)
    acme.rollback()
    assert acme.execute("SELECT size FROM things").fetchone() == (3,)
    acme.commit()

    # Types, both formats.
    values = (
        decimal.Decimal("12.50"),
        datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
        datetime.date(2024, 2, 29),
        uuid.UUID(int=7),
        Jsonb({"a": [1, None, "x"]}),
        b"\x00\xff",
        ["a", None, 'q"uote'],
        True,
    )
    for binary in (False, True):
        with acme.cursor(binary=binary) as cursor:
            cursor.execute(
                "INSERT INTO things (name, price, at, day, code, data, raw, tags, good) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
                "RETURNING price, at, day, code, data, raw, tags, good",
                (f"types {binary}", *values),
            )
            got = cursor.fetchone()
            assert got[4] == {"a": [1, None, "x"]}
            assert got[:4] + got[5:] == values[:4] + values[5:], got
    acme.commit()

    # Errors and what the transaction is after them.
    with raises(errors.UndefinedTable):
        acme.execute("SELECT * FROM nowhere")
    with raises(errors.InFailedSqlTransaction):
        acme.execute("SELECT 1")
    acme.rollback()
    with raises(errors.UndefinedColumn):
        acme.execute("SELECT nothing FROM things")
    acme.rollback()
    with raises(errors.NotNullViolation):
        acme.execute("INSERT INTO things (name) VALUES (NULL)")
    acme.rollback()
    with raises(errors.DivisionByZero):
        acme.execute("SELECT 1 / %s", (0,))
    acme.rollback()
    with raises(errors.InsufficientPrivilege):
        acme.execute("INSERT INTO things (tenant_id, name) VALUES (%s, 'x')", ("globex",))
    acme.rollback()

    # Savepoints.
    with acme.transaction():
        acme.execute("INSERT INTO things (name) VALUES ('kept')")
        try:
            with acme.transaction():
                acme.execute("INSERT INTO things (name) VALUES ('undone')")
                raise KeyError
        except KeyError:
            pass
    names = [n for (n,) in acme.execute("SELECT name FROM things ORDER BY name")]
    assert names == ["kept", "mine", "types False", "types True"], names

    # Prepared on the server, pipelines, many at once.
    for n in range(8):
        assert acme.execute("SELECT %s::int + 1", (n,), prepare=True).fetchone() == (n + 1,)
    with acme.pipeline():
        cursors = [acme.execute("SELECT name FROM things WHERE name = %s", (n,)) for n in names]
    assert [c.fetchone()[0] for c in cursors] == names
    with acme.cursor() as cursor:
        cursor.executemany("INSERT INTO things (name, size) VALUES (%s, %s)", [(f"many {n}", n) for n in range(50)])
        assert cursor.rowcount == 50
    assert acme.execute("DELETE FROM things WHERE name LIKE 'many %'").rowcount == 50
    with acme.cursor(row_factory=dict_row) as cursor:
        assert cursor.execute("SELECT name, size FROM things WHERE name = 'mine'").fetchone() == {"name": "mine", "size": 3}
    acme.commit()
    assert globex.execute("SELECT name FROM things").fetchall() == [("theirs",)]
    globex.execute("DELETE FROM things")
    acme.execute("DELETE FROM things")

with raises(psycopg.OperationalError):
    psycopg.connect(DSN)
