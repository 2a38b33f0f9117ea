"""redis-py: two tenants at once with equal key names, in RESP2 and RESP3."""
import sys
import threading

import redis
from common import PORT, raises


def connect(tenant, resp):
    return redis.Redis(port=PORT, username=tenant, password="x", protocol=resp, decode_responses=True, socket_timeout=20)


def message(pubsub):
    for _ in range(100):
        found = pubsub.get_message(timeout=0.2, ignore_subscribe_messages=True)
        if found:
            return found
    raise AssertionError("no message came")


def pipelines(r, me):
    with r.pipeline(transaction=False) as pipe:
        pipe.set("k", me).get("k").incr("n").hset("h", mapping={"f": me, "g": "2"}).hgetall("h").lpush("k", "x")
        got = pipe.execute(raise_on_error=False)
    assert got[:5] == [True, me, 1, 2, {"f": me, "g": "2"}], got
    assert isinstance(got[5], redis.ResponseError) and "WRONGTYPE" in str(got[5]), got
    assert r.mget(["k", "none", "n"]) == [me, None, "1"]
    assert r.zadd("z", {"a": 1, "b": 2.5}) == 2
    pairs = r.zrange("z", 0, -1, withscores=True)
    assert [list(pair) for pair in pairs] == [["a", 1.0], ["b", 2.5]], pairs
    assert r.delete("z", "h") == 2


def transactions(r, other):
    r.set("n", 1)
    other.set("n", 5)
    with r.pipeline() as pipe:
        pipe.watch("n")
        other.incr("n")  # the other tenant's n is another key
        pipe.multi()
        pipe.set("n", int(r.get("n")) + 10)
        pipe.get("n")
        assert pipe.execute() == [True, "11"]
        pipe.watch("n")
        r.incr("n")
        pipe.multi()
        pipe.set("n", 0)
        with raises(redis.WatchError):
            pipe.execute()
    assert r.transaction(lambda pipe: (pipe.multi(), pipe.incr("n")), "n") == [13]
    assert other.get("n") == "6"
    r.delete("n")
    other.delete("n")


def messages(r, other, me):
    mine, theirs = r.pubsub(), other.pubsub()
    mine.subscribe("ch")
    mine.psubscribe("c*")
    theirs.subscribe("ch")
    theirs.psubscribe("*")
    for _ in range(2):
        assert mine.get_message(timeout=10)["type"] in ("subscribe", "psubscribe")
        assert theirs.get_message(timeout=10)["type"] in ("subscribe", "psubscribe")
    assert r.publish("ch", me) == 2
    kinds = {}
    for _ in range(2):
        got = message(mine)
        kinds[got["type"]] = (got["pattern"], got["channel"], got["data"])
    assert kinds == {"message": (None, "ch", me), "pmessage": ("c*", "ch", me)}, kinds
    assert other.publish("ch", "own") == 2
    assert [message(theirs)["data"] for _ in range(2)] == ["own", "own"], "the first that the other hears is its own"
    assert dict(r.pubsub_numsub("ch")) == {"ch": 1} and r.pubsub_channels() == ["ch"] and r.pubsub_numpat() == 1
    mine.close()
    theirs.close()


def walks(r, me):
    names = {f"walk:{n}" for n in range(300)}
    with r.pipeline() as pipe:
        for name in names:
            pipe.set(name, me)
        pipe.execute()
    assert set(r.scan_iter("walk:*", count=17)) == names
    assert set(r.scan_iter()) == names | {"k"}
    assert set(r.keys("walk:1?")) == {f"walk:{n}" for n in range(10, 20)}
    assert r.dbsize() == 301
    r.sadd("set", *range(200))
    assert len(set(r.sscan_iter("set", count=10))) == 200
    assert r.delete("set", *names) == 301


def locks(r, other):
    with r.lock("lock", timeout=20, blocking_timeout=5) as held:
        assert held.owned() and held.extend(5)
        theirs = other.lock("lock", timeout=20)
        assert theirs.acquire(blocking=False), "the other tenant's lock is another"
        assert not r.lock("lock").acquire(blocking=False)
        theirs.release()
    assert not r.exists("lock")


def blocking(r, other, tenant, resp, me):
    got = []
    waiter = threading.Thread(target=lambda: got.append(connect(tenant, resp).blpop(["empty", "jobs"], timeout=15)))
    waiter.start()
    other.rpush("jobs", "theirs")
    waiter.join(0.5)
    assert waiter.is_alive(), got
    r.rpush("jobs", me)
    waiter.join(15)
    assert list(got[0]) == ["jobs", me], got
    assert r.blpop("jobs", timeout=0.1) is None
    assert other.lpop("jobs") == "theirs"


def streams(r, resp, me):
    r.xadd("s", {"f": me}, id="1-1")
    r.xgroup_create("s", "g", id="0")
    read = r.xreadgroup("g", "c", {"s": ">"})
    want = {"s": [[("1-1", {"f": me})]]} if resp == 3 else [["s", [("1-1", {"f": me})]]]
    assert read == want, read
    assert r.xpending("s", "g")["pending"] == 1 and r.xack("s", "g", "1-1") == 1
    assert r.xinfo_stream("s")["length"] == 1
    with raises(redis.ResponseError):
        r.xreadgroup("none", "c", {"s": ">"})
    r.delete("s")


def scripts(r, other, me):
    script = r.register_script("redis.call('SET', KEYS[1], ARGV[1]) return {redis.call('GET', 'k'), KEYS[1], redis.call('GET', KEYS[1])}")
    assert script(keys=["sk"], args=[me]) == [me, "sk", me]
    assert r.script_exists(script.sha) == [True]
    assert other.get("sk") is None
    r.delete("sk")


def slow(r, other, me):
    mark = f"slow-{me}"
    assert r.eval("local n = 0 for i = 1, 20000000 do n = n + i end return ARGV[1]", 0, mark) == mark
    found = [entry for entry in r.slowlog_get(100) if mark in str(entry["command"])]
    assert found and all(entry["duration"] >= 10000 and entry["start_time"] > 1600000000 for entry in found), found
    assert r.slowlog_len() >= len(found) and not [entry for entry in other.slowlog_get(100) if mark in str(entry["command"])]


def run(tenants, resp):
    both = [connect(tenant, resp) for tenant in tenants]
    for r in both:
        r.flushdb()
    for (r, other), me in zip((both, both[::-1]), tenants):
        assert r.ping() and r.acl_whoami() == me
        pipelines(r, me)
    assert [r.get("k") for r in both] == list(tenants)
    for (r, other), me in zip((both, both[::-1]), tenants):
        transactions(r, other)
        messages(r, other, me)
        walks(r, me)
        locks(r, other)
        blocking(r, other, me, resp, me)
        streams(r, resp, me)
        scripts(r, other, me)
        slow(r, other, me)
    for r in both:
        r.set("n", 1)
    for r, me in zip(both, tenants):
        assert set(r.keys("*")) == {"k", "n"} and r.get("k") == me
    both[0].flushall()
    assert both[0].dbsize() == 0 and both[1].get("k") == tenants[1], "the other's keys stay"
    with raises(redis.ResponseError):
        both[0].config_set("maxmemory", 1)
    with raises(redis.AuthenticationError):
        connect("NOBODY!", resp).ping()
    assert both[0].ping()


run(("acme", "globex"), 2)
run(("acme", "globex"), 3)
print("done", file=sys.stderr)
