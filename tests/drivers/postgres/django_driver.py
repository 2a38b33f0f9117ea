"""Django: models, lookups, aggregates, atomic blocks, bulk writes, the introspection that inspectdb uses."""
import io
import os

import django
from common import COLUMNS, DATABASE, ERRORS, HOST, MARK, OPTIONS, PORT, USER, VALUES, run, say, say_types
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["__main__"],  # this very file is the app
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": DATABASE, "USER": USER, "HOST": HOST, "PORT": PORT,
                           "PASSWORD": os.environ["PGPASSWORD"], "OPTIONS": {"options": OPTIONS} if OPTIONS else {}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True, TIME_ZONE="Europe/Vienna")
django.setup()

from django.contrib.postgres.fields import ArrayField  # noqa: E402
from django.db import Error, IntegrityError, connection, models, transaction  # noqa: E402
from django.db.models import Count, Exists, F, OuterRef, Q, Sum, Window  # noqa: E402
from django.db.models.functions import RowNumber, TruncMonth  # noqa: E402


class Mood(models.TextField):
    def db_type(self, connection):
        return "mood"


class Thing(models.Model):
    id = models.BigIntegerField(primary_key=True)
    name = models.TextField(unique=True)
    size = models.IntegerField(null=True)
    big = models.BigIntegerField(null=True)
    price = models.DecimalField(max_digits=9, decimal_places=2, null=True)
    at = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    code = models.UUIDField(null=True)
    data = models.JSONField(null=True)
    raw = models.BinaryField(null=True)
    tags = ArrayField(models.TextField(null=True), null=True)
    sizes = ArrayField(models.IntegerField(), null=True)
    feeling = Mood(null=True)
    good = models.BooleanField(null=True)
    ratio = models.FloatField(null=True)

    class Meta:
        app_label = "__main__"
        db_table = "things"


class Part(models.Model):
    thing = models.ForeignKey(Thing, models.CASCADE, related_name="parts")
    label = models.TextField()

    class Meta:
        app_label = "__main__"
        db_table = "parts"


THINGS = Thing.objects


def connect():
    say("connect", f"server {connection.pg_version // 10000}")
    say("connect", f"rows {THINGS.count()}")
    with connection.cursor() as cursor:
        cursor.execute("SHOW TimeZone")
        say("connect", f"zone {cursor.fetchone()[0]}")


def types():
    THINGS.create(id=1, **VALUES)
    say_types(THINGS.values_list(*COLUMNS).get(pk=1))
    THINGS.create(id=2, name=f"types nulls {MARK}")
    empty = THINGS.get(pk=2)
    say("types", f"nulls {sum(getattr(empty, c) is None for c in COLUMNS)}")
    say("types", f"lookups {THINGS.filter(data__a__0=1).count()} {THINGS.filter(tags__contains=['a']).count()} {THINGS.filter(sizes__0=1).count()}")
    say("types", f"dates {THINGS.filter(at__year=2024, day__month=2).count()} {THINGS.filter(pk=1).annotate(m=TruncMonth('at')).get().m}")
    say("types", f"texts {THINGS.filter(name__icontains='ZOË').count()} {THINGS.filter(name__regex='^types').count()} {THINGS.filter(name__contains='%').count()}")


def prepared():
    for n in range(20):
        THINGS.create(id=100 + n, name=f"prepared {n} {MARK}", size=n)
    some = THINGS.filter(pk__range=(100, 119))
    say("prepared", f"inserted {some.count()}")
    say("prepared", f"named {sum(THINGS.get(pk=100 + n).size for n in range(20))}")
    with connection.cursor() as cursor:
        total = 0
        for n in range(20):
            cursor.execute("SELECT size FROM things WHERE id = %s", [100 + n])
            total += cursor.fetchone()[0]
    say("prepared", f"unnamed {total}")
    say("prepared", f"any {THINGS.filter(pk__in=[1, 100, 119, 9999]).count()}")
    say("prepared", f"raw {[t.id for t in THINGS.raw('SELECT id FROM things WHERE size > %s ORDER BY id', [17])]}")
    found, made = THINGS.get_or_create(pk=100, defaults={"name": f"never {MARK}"})
    say("prepared", f"found {found.name} {made} {THINGS.update_or_create(pk=101, defaults={'size': 1})[1]}")
    say("prepared", f"grouped {list(some.values(odd=F('size') % 2).annotate(n=Count('*'), s=Sum('size')).order_by('odd'))}")
    say("prepared", f"ranked {list(some.annotate(n=Window(RowNumber(), order_by=F('size').desc())).filter(n__lte=2).order_by('n').values_list('id', flat=True))}")
    say("prepared", f"either {some.filter(Q(size__lt=3) | ~Q(size__lt=18)).count()}")


def transactions():
    class Undo(Exception):
        pass

    def undone(*inner):
        try:
            with transaction.atomic():
                for step in inner:
                    step()
                raise Undo
        except Undo:
            pass

    add = lambda id, name: THINGS.create(id=id, name=f"{name} {MARK}")  # noqa: E731
    undone(lambda: add(200, "undone"))
    say("transactions", f"rolled back {THINGS.filter(pk=200).count()}")
    with transaction.atomic():
        add(201, "kept 201")
        undone(lambda: add(202, "undone"))
        add(203, "kept 203")
    say("transactions", f"kept {','.join(map(str, THINGS.filter(pk__range=(200, 299)).order_by('id').values_list('id', flat=True)))}")
    connection.set_autocommit(False)
    try:
        THINGS.bulk_create([Thing(id=201, name=f"again {MARK}")])
    except IntegrityError:
        connection.needs_rollback = False
        try:
            THINGS.count()
        except Error as error:
            say("transactions", f"aborted {error.__cause__.sqlstate}")
    connection.rollback()
    connection.set_autocommit(True)
    with transaction.atomic():
        Part.objects.bulk_create([Part(thing_id=201, label=f"part {n} {MARK}") for n in range(3)])
    say("transactions", f"parts {Part.objects.select_related('thing').filter(thing__size=None).count()}")
    say("transactions", f"prefetched {[[p.label for p in t.parts.all()] for t in THINGS.filter(pk__gte=201).order_by('id').prefetch_related('parts')]}")
    say("transactions", f"exists {THINGS.filter(Exists(Part.objects.filter(thing=OuterRef('pk')))).count()} {THINGS.filter(parts=None).count()}")
    with transaction.atomic():
        say("transactions", f"locked {THINGS.select_for_update(of=('self',)).get(pk=201).id}")


def errors():
    for what, sql in ERRORS.items():
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        except Error as error:
            say("errors", f"{what} {error.__cause__.sqlstate}")
            say("errors", f"{what} {type(error).__name__} {str(error).splitlines()[0]}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 42")
        say("errors", f"after {cursor.fetchone()[0]}")


def bulk():
    say("bulk", f"loaded {len(THINGS.bulk_create([Thing(id=1000 + n, name=f'bulk {n} {MARK}', size=n) for n in range(1000)]))}")
    loaded = THINGS.filter(pk__range=(1000, 1999))
    say("bulk", f"sum {loaded.aggregate(s=Sum('size'))['s']}")
    batch = [Thing(id=2000 + n, name=f"batch {n} {MARK}", size=0) for n in range(100)]
    THINGS.bulk_create(batch, batch_size=30)
    THINGS.bulk_create(batch, update_conflicts=True, unique_fields=["id"], update_fields=["size"])
    say("bulk", f"batch {len(THINGS.bulk_create(batch, ignore_conflicts=True))}")
    for n, thing in enumerate(batch):
        thing.size = n
    say("bulk", f"rewritten {THINGS.bulk_update(batch, ['size'])} {THINGS.filter(pk__gte=2000).aggregate(s=Sum('size'))['s']}")
    say("bulk", f"updated {loaded.update(size=F('size') + 1)}")
    say("bulk", f"deleted {THINGS.filter(pk__gte=2000).delete()[0]}")
    say("bulk", f"streamed {sum(1 for _ in loaded.order_by('id').iterator(chunk_size=70))}")
    with connection.cursor() as cursor:
        with cursor.copy("COPY (SELECT id FROM things WHERE id >= 1000) TO STDOUT") as copy:
            say("bulk", f"out {sum(1 for _ in copy)}")
    say("bulk", f"total {THINGS.count()}")


def introspection():
    look = connection.introspection
    with connection.cursor() as cursor:
        say("introspection", f"tables {sorted((t.name, t.type) for t in look.get_table_list(cursor))}")
        described = look.get_table_description(cursor, "things")
        say("introspection", f"columns {','.join(c.name for c in described)}")
        for column in described:
            kind = column.type_code if column.type_code < 10000 else "own"
            say("introspection", f"column {column.name} {kind} {column.null_ok} {column.default} {column.precision} {column.scale}")
        for table in ("things", "parts"):
            for name, made in sorted(look.get_constraints(cursor, table).items()):
                say("introspection", f"constraint {name} {', '.join(made.pop('columns') or [])} {made.pop('foreign_key')} {made.pop('orders', None) is None} {made}")
        say("introspection", f"key {','.join(c for c in look.get_primary_key_columns(cursor, 'things') if c != 'tenant_id')}")
        say("introspection", f"sequences {[(s['name'], s['table'], s['column']) for s in look.get_sequences(cursor, 'parts')]}")
        for column, (other, table) in sorted(look.get_relations(cursor, "parts").items()):
            say("introspection", f"column {column} {other} {table}")
    from django.core.management import call_command

    out = io.StringIO()
    call_command("inspectdb", stdout=out)
    for line in filter(str.strip, out.getvalue().splitlines()):
        say("introspection", f"inspectdb {line.strip()}")


run(django.get_version(), connect=connect, types=types, prepared=prepared, transactions=transactions, errors=errors, bulk=bulk,
    introspection=introspection)
