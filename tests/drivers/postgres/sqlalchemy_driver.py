"""SQLAlchemy 2: models, relations, Core, savepoints, the inspector; the driver below is named by the argument."""
import sys

import sqlalchemy as sa
from common import COLUMNS, DATABASE, ERRORS, HOST, MARK, OPTIONS, PORT, TENANT, USER, VALUES, run, say, say_types
from sqlalchemy import func, select, text
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

DRIVER = sys.argv[1]


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text)
    size: Mapped[int | None]
    big = mapped_column(sa.BigInteger)
    price = mapped_column(sa.Numeric(9, 2))
    at = mapped_column(sa.DateTime(timezone=True))
    day = mapped_column(sa.Date)
    code = mapped_column(sa.Uuid)
    data = mapped_column(pg.JSONB)
    raw = mapped_column(sa.LargeBinary)
    tags = mapped_column(pg.ARRAY(sa.Text))
    sizes = mapped_column(pg.ARRAY(sa.Integer))
    feeling = mapped_column(sa.Enum("sad", "ok", "happy", name="mood"))
    good: Mapped[bool | None]
    ratio = mapped_column(sa.Double)
    parts: Mapped[list["Part"]] = relationship(back_populates="thing", order_by="Part.label")


class Part(Base):
    __tablename__ = "parts"
    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    thing_id: Mapped[int] = mapped_column(sa.ForeignKey("things.id"))
    label: Mapped[str] = mapped_column(sa.Text)
    thing: Mapped[Thing] = relationship(back_populates="parts")


URL = sa.URL.create(f"postgresql+{DRIVER}", USER, host=HOST, port=PORT, database=DATABASE)
if DRIVER == "asyncpg":
    SETTINGS = {"server_settings": {"partywall.tenant": TENANT} if TENANT else {}, "ssl": False}
    ENGINE = create_async_engine(URL, connect_args=SETTINGS, poolclass=sa.pool.NullPool).sync_engine
else:
    ENGINE = sa.create_engine(URL, connect_args={"options": OPTIONS} if OPTIONS else {})


def within(step):
    """Runs a step with a connection; asyncpg's, where a greenlet waits for it."""
    def plain():
        with ENGINE.connect() as connection:
            step(connection)

    if DRIVER != "asyncpg":
        return plain

    def waiting():
        import asyncio

        from sqlalchemy.util import greenlet_spawn

        asyncio.run(greenlet_spawn(plain))
    return waiting


def code(error):
    inner = error.orig
    return getattr(inner, "sqlstate", None) or getattr(inner, "pgcode", None) or inner.args[0]["C"]


def connect(connection):
    say("connect", f"server {connection.dialect.server_version_info[0]}")
    say("connect", f"rows {connection.scalar(select(func.count()).select_from(Thing))}")
    say("connect", f"{connection.dialect.default_schema_name} {connection.get_isolation_level()} {connection.default_isolation_level}")


def types(connection):
    session = Session(connection)
    session.add(Thing(id=1, **VALUES))
    session.add(Thing(id=2, name=f"types nulls {MARK}"))
    session.commit()
    say_types(session.execute(select(*[getattr(Thing, c) for c in COLUMNS]).where(Thing.id == 1)).one())
    thing = session.get(Thing, 2)
    say("types", f"nulls {sum(getattr(thing, c) is None for c in COLUMNS)}")
    say("types", f"json {session.scalars(select(Thing.id).where(Thing.data['a'][0].as_integer() == 1)).all()}")
    say("types", f"array {session.scalars(select(Thing.id).where(Thing.tags.contains(['a']))).all()}")
    say("types", f"any {session.scalars(select(Thing.id).where(2 == sa.any_(Thing.sizes))).all()}")


def prepared(connection):
    session = Session(connection)
    for n in range(20):
        session.add(Thing(id=100 + n, name=f"prepared {n} {MARK}", size=n))
        session.flush()
    session.commit()
    between = select(func.count()).where(Thing.id.between(100, 119))
    say("prepared", f"inserted {session.scalar(between)}")
    by_id = select(Thing.size).where(Thing.id == sa.bindparam("id"))
    say("prepared", f"named {sum(session.scalar(by_id, {'id': 100 + n}) for n in range(20))}")
    say("prepared", f"unnamed {sum(session.scalar(text('SELECT size FROM things WHERE id = :id'), {'id': 100 + n}) for n in range(20))}")
    say("prepared", f"any {session.scalar(select(func.count()).where(Thing.id.in_([1, 100, 119, 9999])))}")
    odd = sa.case((Thing.size % 2 == 1, "odd"), else_="even").label("kind")
    grouped = session.execute(select(odd, func.sum(Thing.size), func.array_agg(Thing.id)).where(Thing.id < 104, Thing.id >= 100).group_by(odd).order_by(odd))
    say("prepared", f"grouped {[tuple(r) for r in grouped]}")
    ranked = select(Thing.id, func.row_number().over(order_by=Thing.size.desc()).label("n")).where(Thing.id.between(100, 119)).subquery()
    say("prepared", f"ranked {session.execute(select(ranked.c.id).where(ranked.c.n <= 3).order_by(ranked.c.n)).scalars().all()}")
    upsert = pg.insert(Thing).values(id=100, name=f"merged {MARK}", size=0)
    merged = session.execute(upsert.on_conflict_do_update(index_elements=[Thing.id], set_={"name": upsert.excluded.name}).returning(Thing.name)).scalar_one()
    say("prepared", f"merged {merged}")
    session.commit()


def transactions(connection):
    session = Session(connection, join_transaction_mode="rollback_only")
    session.add(Thing(id=200, name=f"undone {MARK}"))
    session.flush()
    session.rollback()
    say("transactions", f"rolled back {session.scalar(select(func.count()).where(Thing.id == 200))}")
    session.add(Thing(id=201, name=f"kept 201 {MARK}"))
    nested = session.begin_nested()
    session.add(Thing(id=202, name=f"undone {MARK}"))
    session.flush()
    nested.rollback()
    session.add(Thing(id=203, name=f"kept 203 {MARK}"))
    session.commit()
    kept = session.scalars(select(Thing.id).where(Thing.id.between(200, 299)).order_by(Thing.id)).all()
    say("transactions", f"kept {','.join(map(str, kept))}")
    session.rollback()
    try:
        session.execute(sa.insert(Thing).values(id=201, name=f"again {MARK}"))
    except sa.exc.IntegrityError:
        try:
            connection.execute(text("SELECT 1"))
        except sa.exc.DBAPIError as error:
            say("transactions", f"aborted {code(error)}")
    session.rollback()
    thing = session.get(Thing, 201)
    thing.parts = [Part(label=f"part {n} {MARK}") for n in range(3)]
    session.commit()
    say("transactions", f"parts {session.scalar(select(func.count(Part.id)).join(Thing))}")
    thing = session.scalars(select(Thing).where(Thing.id == 201).options(selectinload(Thing.parts))).one()
    say("transactions", f"eager {[p.label for p in thing.parts]}")
    say("transactions", f"locked {session.scalars(select(Thing.id).where(Thing.id == 201).with_for_update(skip_locked=True)).all()}")
    session.rollback()
    serial = connection.execution_options(isolation_level="SERIALIZABLE")
    say("transactions", f"level {serial.get_isolation_level()} {serial.scalar(text('SHOW transaction_isolation'))}")
    serial.rollback()


def errors(connection):
    for what, sql in ERRORS.items():
        try:
            connection.execute(text(sql.replace("::", r"\:\:")))
        except sa.exc.DBAPIError as error:
            say("errors", f"{what} {code(error)}")
            say("errors", f"{what} {type(error).__name__} {str(error.orig).splitlines()[0]}")
        connection.rollback()
    say("errors", f"after {connection.scalar(select(42))}")


def bulk(connection):
    session = Session(connection)
    loaded = session.scalars(sa.insert(Thing).returning(Thing.id), [{"id": 1000 + n, "name": f"bulk {n} {MARK}", "size": n} for n in range(1000)])
    say("bulk", f"loaded {len(loaded.all())}")
    say("bulk", f"sum {session.scalar(select(func.sum(Thing.size)).where(Thing.id.between(1000, 1999)))}")
    session.add_all([Thing(id=2000 + n, name=f"batch {n} {MARK}", size=n) for n in range(100)])
    session.flush()
    say("bulk", f"batch {session.scalar(select(func.count()).where(Thing.id >= 2000))}")
    say("bulk", f"updated {session.execute(sa.update(Thing).where(Thing.id.between(1000, 1999)).values(size=Thing.size + 1)).rowcount}")
    say("bulk", f"deleted {session.execute(sa.delete(Thing).where(Thing.id >= 2000)).rowcount}")
    session.commit()
    if DRIVER == "pg8000":  # its cursors on the server are written for it by hand
        walk = connection.execute(select(Thing.id).where(Thing.id >= 1000))
    else:
        walk = connection.execution_options(stream_results=True, yield_per=70).execute(select(Thing.id).where(Thing.id >= 1000))
    say("bulk", f"streamed {sum(1 for _ in walk)}")
    say("bulk", f"total {connection.scalar(select(func.count()).select_from(Thing))}")


def introspection(connection):
    inspector = sa.inspect(connection)
    say("introspection", f"tables {sorted(inspector.get_table_names())} {inspector.get_view_names()} {inspector.has_table('nowhere')}")
    columns = inspector.get_columns("things")
    say("introspection", f"columns {','.join(c['name'] for c in columns)}")
    for column in columns:
        say("introspection", f"column {column['name']} {column['type']!r} {column['nullable']} {column['default']}")
    say("introspection", f"key {','.join(c for c in inspector.get_pk_constraint('things')['constrained_columns'] if c != 'tenant_id')}")
    for table in ("things", "parts"):
        for index in inspector.get_indexes(table):
            say("introspection", f"index {index['name']} {index['unique']} {', '.join(index['column_names'])}")
        for unique in inspector.get_unique_constraints(table):
            say("introspection", f"unique {unique['name']} {', '.join(unique['column_names'])}")
        for check in inspector.get_check_constraints(table):
            say("introspection", f"check {check['name']} {check['sqltext']}")
        for key in inspector.get_foreign_keys(table):
            say("introspection", f"foreign {key['name']} {', '.join(key['constrained_columns'])} {key['referred_table']} {', '.join(key['referred_columns'])}")
    say("introspection", f"enums {[(e['name'], e['labels']) for e in inspector.get_enums()]}")
    say("introspection", f"comment {inspector.get_table_comment('things')}")
    metadata = sa.MetaData()
    metadata.reflect(connection)
    parts = metadata.tables["parts"]
    say("introspection", f"reflected {sorted(metadata.tables)} {parts.c.id.identity is not None} {parts.c.label.type!r}")


run(f"{sa.__version__}", **{step.__name__: within(step) for step in (connect, types, prepared, transactions, errors, bulk, introspection)})
