"""Django's caches on Redis, its own backend or django-redis by the argument: values, expiry, counters, patterns, locks, sessions."""
import sys

import django
from common import MARK, URL, run, say, until
from django.conf import settings

OWN = sys.argv[1] == "django"
settings.configure(
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache" if OWN else "django_redis.cache.RedisCache", "LOCATION": URL,
                        "KEY_PREFIX": "site"}},
    SESSION_ENGINE="django.contrib.sessions.backends.cache", INSTALLED_APPS=["django.contrib.sessions"])
django.setup()
from django.core.cache import cache  # noqa: E402


def connect():
    say("connect", f"ready {cache.get('nothing')}")
    say("connect", "ready")


def work():
    cache.set_many({f"k{n}": n for n in range(20)})
    found = cache.get_many([f"k{n}" for n in range(25)])
    say("work", f"done {len(found)}")
    say("work", f"sum {sum(found.values())}")
    cache.set("mark", {"mark": MARK, "many": [1, None]})
    say("work", f"value {cache.get('mark')} {cache.has_key('mark')} {cache.get_or_set('new', lambda: 5)}")


def later():
    cache.set("soon", MARK, timeout=1)
    say("later", f"there {cache.get('soon')} {cache.touch('k1', 100)}")
    say("later", f"gone {until(lambda: cache.get('soon') is None)}")


def failures():
    try:
        cache.incr("nothing")
    except ValueError as error:
        say("failures", f"counter {error}")
    say("failures", f"added {cache.add('k1', 0)} {cache.add('other', MARK)} {cache.delete('nothing')}")


def results():
    say("results", f"counter {cache.incr('k1')} {cache.incr('k1', 10)} {cache.decr('k1')}")
    say("results", f"versions {cache.set('v', 1, version=2)} {cache.get('v')} {cache.get('v', version=2)}")
    from django.contrib.sessions.backends.cache import SessionStore

    session = SessionStore()
    session["mark"] = MARK
    session.create()
    say("results", f"session {SessionStore(session.session_key)['mark']}")
    session.delete()


def introspection():
    if OWN:
        say("introspection", f"deleted {cache.delete_many(['k2', 'k3'])} {sorted(cache.get_many(['k2', 'k4']))}")
    else:
        say("introspection", f"keys {sorted(cache.keys('k*'))} {len(list(cache.iter_keys('k1*')))} {cache.ttl('k1') > 0}")
        with cache.lock("lock", timeout=5):
            say("introspection", f"locked {cache.lock('lock', timeout=1, blocking_timeout=0.1).acquire()}")
        say("introspection", f"deleted {cache.delete_pattern('k1*')}")
    cache.set("kept", MARK)
    if OWN:
        cache.clear()
        say("introspection", f"cleared {cache.get('kept')}")


run(django.__version__ if OWN else __import__("django_redis").__version__ if isinstance(__import__("django_redis").__version__, str)
    else ".".join(map(str, __import__("django_redis").__version__)), connect=connect, work=work, later=later, failures=failures, results=results,
    introspection=introspection)
