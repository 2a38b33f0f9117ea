"""A small Django app: models, relations, queries, transactions, errors; each tenant is a database alias."""
import datetime
import decimal
import uuid

import django
from django.conf import settings

from common import PORT, options, raises


def database(tenant):
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "app",
        "USER": "app",
        "HOST": "127.0.0.1",
        "PORT": PORT,
        "OPTIONS": {"options": options(tenant)},
    }


settings.configure(
    INSTALLED_APPS=["__main__"],  # this very file is the app
    DATABASES={"default": database("acme"), "globex": database("globex")},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    TIME_ZONE="Europe/Vienna",
)
django.setup()

from django.db import DataError, IntegrityError, ProgrammingError, connection, models, transaction  # noqa: E402
from django.db.models import Count, F, Q, Sum  # noqa: E402


class Thing(models.Model):
    name = models.TextField()
    size = models.IntegerField(null=True)
    price = models.DecimalField(max_digits=9, decimal_places=2, null=True)
    at = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    code = models.UUIDField(null=True)
    data = models.JSONField(null=True)
    raw = models.BinaryField(null=True)
    good = models.BooleanField(null=True)

    class Meta:
        app_label = "__main__"
        db_table = "things"


class Part(models.Model):
    thing = models.ForeignKey(Thing, models.CASCADE, related_name="parts")
    label = models.TextField()

    class Meta:
        app_label = "__main__"
        db_table = "parts"


Thing.objects.using("globex").create(name="theirs")
thing = Thing.objects.create(
    name="mine",
    size=3,
    price=decimal.Decimal("12.50"),
    at=datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
    day=datetime.date(2024, 2, 29),
    code=uuid.UUID(int=7),
    data={"a": [1, None, {"b": "x"}]},
    raw=b"\x00\xff",
    good=True,
)
again = Thing.objects.get(pk=thing.pk)
for field in ("name", "size", "price", "at", "day", "code", "data", "good"):
    assert getattr(again, field) == getattr(thing, field), field
assert bytes(again.raw) == b"\x00\xff"
Part.objects.bulk_create([Part(thing=thing, label=f"p{n}") for n in range(5)])
Thing.objects.bulk_create([Thing(name=f"bulk {n}", size=n) for n in range(30)])
assert Thing.objects.count() == 31
assert Thing.objects.filter(Q(name__startswith="bulk") & ~Q(size__lt=10)).count() == 20
assert Thing.objects.filter(name__icontains="BULK 1").exclude(size=1).count() == 10
assert Thing.objects.filter(data__a__0=1).get() == thing
assert Thing.objects.filter(at__year=2024, day__month=2).get() == thing
assert Thing.objects.filter(parts__label__in=["p1", "p2"]).distinct().get() == thing
assert Thing.objects.annotate(n=Count("parts")).filter(n__gt=0).values_list("name", "n").get() == ("mine", 5)
assert Thing.objects.filter(size__lt=5).aggregate(s=Sum("size"))["s"] == 0 + 1 + 2 + 3 + 4 + 3
assert Thing.objects.filter(name__startswith="bulk").update(size=F("size") + 100) == 30
assert list(Thing.objects.order_by("-size").values_list("size", flat=True)[1:3]) == [128, 127]
assert [p.thing.name for p in Part.objects.select_related("thing").order_by("id")[:2]] == ["mine", "mine"]
assert len(Thing.objects.prefetch_related("parts").get(pk=thing.pk).parts.all()) == 5
assert Thing.objects.filter(pk__in=Part.objects.values("thing_id")).exists()
found, made = Thing.objects.get_or_create(name="mine", defaults={"size": 1})
assert (found.pk, made) == (thing.pk, False)
assert Thing.objects.update_or_create(name="newer", defaults={"size": 9})[1]
try:
    with transaction.atomic():
        Thing.objects.create(name="undone")
        with raises(IntegrityError), transaction.atomic():
            Thing.objects.create(name=None)
        assert Thing.objects.filter(name="undone").exists()
        raise KeyError
except KeyError:
    pass
assert not Thing.objects.filter(name="undone").exists()
with transaction.atomic():
    assert Thing.objects.select_for_update().get(pk=thing.pk).name == "mine"
with raises(ProgrammingError), connection.cursor() as cursor:
    cursor.execute("SELECT * FROM nowhere")
with raises(DataError), connection.cursor() as cursor:
    cursor.execute("SELECT 1 / %s", [0])
with connection.cursor() as cursor:
    cursor.execute("SHOW TimeZone")
    zone = cursor.fetchone()[0]
    assert zone == "UTC", zone
assert sum(1 for _ in Thing.objects.order_by("id")) == 32
Thing.objects.all().delete()
assert Part.objects.count() == 0
assert Thing.objects.using("globex").values_list("name", flat=True).get() == "theirs"
Thing.objects.using("globex").all().delete()
