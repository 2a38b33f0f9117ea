"""asyncpg: binary rows, type introspection, prepared statements, cursors, transactions, errors."""
import asyncio
import datetime
import decimal
import uuid

import asyncpg

from common import PORT, raises


def connect(tenant):
    settings = {"partywall.tenant": tenant}
    return asyncpg.connect(host="127.0.0.1", port=PORT, user="app", database="app", server_settings=settings, ssl=False)


async def main():
    acme, globex = await connect("acme"), await connect("globex")
    await globex.execute("INSERT INTO things (name) VALUES ('theirs')")
    one = await acme.fetchval("INSERT INTO things (name, size) VALUES ($1, $2) RETURNING id", "mine", 3)
    assert [r["name"] for r in await acme.fetch("SELECT name FROM things")] == ["mine"]
    assert await acme.execute("UPDATE things SET size = size + $1 WHERE id = $2", 4, one) == "UPDATE 1"
    values = (
        decimal.Decimal("12.50"),
        datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
        datetime.date(2024, 2, 29),
        uuid.UUID(int=7),
        '{"a": [1, null]}',
        b"\x00\xff",
        ["a", None],
        True,
    )
    got = await acme.fetchrow(
        "UPDATE things SET price = $1, at = $2, day = $3, code = $4, data = $5, raw = $6, tags = $7, good = $8 "
        "RETURNING price, at, day, code, data, raw, tags, good",
        *values,
    )
    assert tuple(got) == values, got
    with raises(asyncpg.UndefinedTableError):
        await acme.fetch("SELECT * FROM nowhere")
    with raises(asyncpg.NotNullViolationError):
        await acme.execute("INSERT INTO things (name) VALUES (NULL)")
    with raises(asyncpg.InsufficientPrivilegeError):
        await acme.execute("INSERT INTO things (tenant_id, name) VALUES ($1, 'x')", "globex")

    try:
        async with acme.transaction():
            await acme.execute("INSERT INTO things (name) VALUES ('undone')")
            raise KeyError
    except KeyError:
        pass
    async with acme.transaction():
        await acme.executemany("INSERT INTO things (name, size) VALUES ($1, $2)", [(f"many {n}", n) for n in range(50)])
        seen = [r["size"] async for r in acme.cursor("SELECT size FROM things WHERE name LIKE 'many%' ORDER BY size", prefetch=7)]
        assert seen == list(range(50)), seen
    statement = await acme.prepare("SELECT name FROM things WHERE size = $1 AND name LIKE 'many%'")
    assert [await statement.fetchval(n) for n in (4, 2)] == ["many 4", "many 2"]
    assert await acme.execute("DELETE FROM things") == "DELETE 51"
    assert await globex.fetchval("SELECT count(*) FROM things") == 1
    assert await globex.execute("DELETE FROM things") == "DELETE 1"

    where = {"host": "127.0.0.1", "port": PORT, "user": "app", "database": "app", "ssl": False}
    pool = await asyncpg.create_pool(**where, server_settings={"partywall.tenant": "acme"}, min_size=2, max_size=4)
    async with pool:
        counts = await asyncio.gather(*(pool.fetchval("SELECT count(*) FROM things WHERE size > $1", n) for n in range(20)))
    assert counts == [0] * 20
    await acme.close()
    await globex.close()


asyncio.run(main())
