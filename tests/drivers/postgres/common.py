"""What the Python programs share: where to connect, the values, and how results are said."""
import datetime
import decimal
import os
import sys
import traceback
import uuid

HOST = os.environ["PGHOST"]
PORT = int(os.environ["PGPORT"])
USER = os.environ["PGUSER"]
DATABASE = os.environ["PGDATABASE"]
OPTIONS = os.environ["TENANT_OPTIONS"]  # "-c partywall.tenant=…" or empty
TENANT = os.environ["TENANT"]  # or empty
MARK = os.environ["MARK"]  # this session's own, in all its rows

TEXT = "Zoë 'q' \"d\" \\ % $1 ?"
COLUMNS = ["size", "big", "price", "name", "raw", "at", "day", "code", "data", "tags", "sizes", "feeling", "good", "ratio"]
JSON = {"a": [1, None]}
VALUES = {
    "size": 2147483647,
    "big": -9007199254740991,
    "price": decimal.Decimal("12.50"),
    "name": f"{TEXT} {MARK}",
    "raw": b"\x00\xff\\'",
    "at": datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
    "day": datetime.date(2024, 2, 29),
    "code": uuid.UUID(int=7),
    "data": JSON,
    "tags": ["a", None, 'q"'],
    "sizes": [1, 2, 3],
    "feeling": "happy",
    "good": True,
    "ratio": 0.1,
}
SYNTAX = "SELECT id FROM things WHERE WHERE"
UNKNOWN_COLUMN = "SELECT id, nosuch FROM things"
ERRORS = {
    "unique": f"INSERT INTO things (id, name) VALUES (300, 'types nulls {MARK}')",
    "syntax": SYNTAX,
    "column": UNKNOWN_COLUMN,
    "table": "SELECT * FROM nowhere",
    "null": "INSERT INTO things (id, name) VALUES (300, NULL)",
    "check": f"INSERT INTO things (id, name, size) VALUES (300, 'c {MARK}', -1)",
    "foreign key": "INSERT INTO parts (thing_id, label) VALUES (999999, 'none')",
    "division": "SELECT 1 / (size - size) FROM things WHERE id = 1",
    "input": "SELECT 'x'::int",
}


def say(step, text):
    print(f"{step}: {text}", flush=True)


def plain(value):
    """One value as every program writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, (list, tuple)):
        return ",".join(map(plain, value))
    if isinstance(value, dict):
        import json

        return json.dumps(value, separators=(",", ":"))
    return str(value)


NAMES = {"size": "int", "big": "bigint", "price": "numeric", "name": "text", "raw": "bytea", "at": "timestamptz", "day": "date",
         "code": "uuid", "data": "jsonb", "feeling": "enum", "good": "boolean", "ratio": "double"}


def say_types(row):
    """A row of COLUMNS as it came back."""
    for column, value in zip(COLUMNS, row):
        if column == "name":
            assert value.endswith(f" {MARK}"), value
            value = value[: -len(MARK) - 1]
        say("types", f"{NAMES.get(column, column)} {plain(value)}")


def run(version, **steps):
    """Each step in its turn; one that fails says so and the others go on."""
    say("version", version)
    for name, step in steps.items():
        try:
            step()
        except Exception as error:  # noqa: BLE001, a step may fail in any way
            traceback.print_exc(file=sys.stderr)
            print(f"{name}! {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
