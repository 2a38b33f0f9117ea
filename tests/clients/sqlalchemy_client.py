"""SQLAlchemy 2 with psycopg, psycopg2 and asyncpg underneath: models, relations, queries, errors."""
import asyncio
import datetime
import decimal

from sqlalchemy import ForeignKey, String, create_engine, func, select, text, update
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from common import PORT, options, raises


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String)
    size: Mapped[int | None]
    price: Mapped[decimal.Decimal | None]
    at: Mapped[datetime.datetime | None]
    parts: Mapped[list["Part"]] = relationship(back_populates="thing", cascade="all, delete-orphan", order_by="Part.id")


class Part(Base):
    __tablename__ = "parts"
    id: Mapped[int] = mapped_column(primary_key=True)
    thing_id: Mapped[int] = mapped_column(ForeignKey("things.id"))
    label: Mapped[str]
    thing: Mapped[Thing] = relationship(back_populates="parts")


def use(driver):
    url = f"postgresql+{driver}://app@127.0.0.1:{PORT}/app"
    acme = create_engine(url, connect_args={"options": options("acme")})
    globex = create_engine(url, connect_args={"options": options("globex")})
    with Session(globex) as session:
        session.add(Thing(name="theirs", parts=[Part(label="p")]))
        session.commit()
    with Session(acme) as session:
        session.add_all([Thing(name=f"mine {n}", size=n, parts=[Part(label=f"{n}.{m}") for m in range(2)]) for n in range(3)])
        session.commit()
        assert session.scalar(select(func.count()).select_from(Thing)) == 3
        thing = session.scalars(select(Thing).where(Thing.name == "mine 2").options(selectinload(Thing.parts))).one()
        assert [p.label for p in thing.parts] == ["2.0", "2.1"]
        thing.price = decimal.Decimal("1.50")
        thing.at = datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)
        session.commit()
        assert thing.price == decimal.Decimal("1.50")
        rows = session.execute(
            select(Thing.name, func.count(Part.id)).join(Part, isouter=True).group_by(Thing.name).order_by(Thing.name).limit(2).offset(1)
        ).all()
        assert [tuple(r) for r in rows] == [("mine 1", 2), ("mine 2", 2)], rows
        assert session.execute(update(Thing).where(Thing.size > 0).values(size=Thing.size * 2)).rowcount == 2
        session.rollback()
        assert session.scalar(select(func.sum(Thing.size))) == 3
        with raises(IntegrityError):
            session.add(Thing(name=None))
            session.flush()
        session.rollback()
        with raises(ProgrammingError):
            session.execute(text("SELECT * FROM nowhere"))
        session.rollback()
        with session.begin_nested():
            session.add(Thing(name="nested"))
        session.commit()
        for thing in session.scalars(select(Thing)):
            session.delete(thing)
        session.commit()
        assert session.scalar(select(func.count()).select_from(Part)) == 0
    with Session(globex) as session:
        assert session.scalars(select(Thing.name)).all() == ["theirs"]
        session.delete(session.scalars(select(Thing)).one())
        session.commit()


async def use_async():
    settings = {"server_settings": {"partywall.tenant": "acme"}, "ssl": False}
    engine = create_async_engine(f"postgresql+asyncpg://app@127.0.0.1:{PORT}/app", connect_args=settings)
    async with AsyncSession(engine) as session:
        session.add(Thing(name="async", parts=[Part(label="a")]))
        await session.commit()
        thing = (await session.scalars(select(Thing).options(selectinload(Thing.parts)))).one()
        assert (thing.name, thing.parts[0].label) == ("async", "a")
        await session.delete(thing)
        await session.commit()
    await engine.dispose()


use("psycopg")
use("psycopg2")
asyncio.run(use_async())
