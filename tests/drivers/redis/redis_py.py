"""redis-py: the protocol named by the argument; locks, pub/sub in a thread, scripts, streams, and asyncio."""
import asyncio
import os
import sys
import threading
import time

import redis
import redis.asyncio

RESP, MARK = int(sys.argv[1]), os.environ["MARK"]
TEXT = "Zoë 'q' \"d\" \\ % $1 ?"


def say(step, text):
    print(f"{step}: {text}", flush=True)


def client(**kw):
    return redis.Redis.from_url(os.environ["REDIS_URL"], **{"protocol": RESP, "decode_responses": True, "socket_timeout": 20, **kw})


def connect():
    r = client(client_name="drivers")
    say("connect", f"ping {'PONG' if r.ping() else '?'}")
    say("connect", f"keys {r.dbsize()}")
    say("connect", f"name {r.client_getname()} {r.client_info()['name']} {r.acl_whoami()}")
    say("connect", f"database {client(db=3).set('three', MARK)} {r.exists('three')} {client(db=3).delete('three')}")


def types():
    r = client()
    r.set("text", f"{TEXT} {MARK}")
    say("types", f"string {r.get('text').removesuffix(' ' + MARK)}")
    raw = client(decode_responses=False)
    raw.set("raw", b"\x00\xff\r\n")
    say("types", f"bytes {raw.get('raw').hex()}")
    say("types", f"number {[r.set('n', 41), r.incr('n')][1]}")
    r.hset("h", mapping={"a": 1, "b": 2})
    say("types", "hash " + " ".join(f"{k}={v}" for k, v in sorted(r.hgetall("h").items())))
    r.rpush("l", "x", "y", "z")
    say("types", f"list {','.join(r.lrange('l', 0, -1))}")
    r.sadd("s", "a", "b", "c")
    say("types", f"set {','.join(sorted(r.smembers('s')))}")
    r.zadd("z", {"a": 1, "b": 2.5})
    say("types", "sorted " + " ".join(f"{m}={s:g}" for m, s in r.zrange("z", 0, -1, withscores=True)))
    say("types", f"none {'NULL' if r.get('none') is None else '?'}")
    r.set("soon", MARK, ex=100)
    say("types", f"expires {str(90 < r.ttl('soon') <= 100).lower()}")
    say("types", f"more {r.type('z')} {r.object('encoding', 'n')} {r.rename('soon', 'later')} {r.copy('later', 'again')} {r.unlink('again', 'later')}")
    say("types", f"bits {r.setbit('bits', 7, 1)} {r.bitcount('bits')} {r.pfadd('hll', 'a', 'b')} {r.pfcount('hll')} {r.geoadd('geo', (16.37, 48.2, 'Vienna'))}")
    say("types", f"near {r.geosearch('geo', longitude=16, latitude=48, radius=100, unit='km')} {r.sort('l', alpha=True, desc=True)}")


def pipeline():
    r = client()
    with r.pipeline(transaction=False) as pipe:
        for n in range(100):
            pipe.set(f"p:{n}", n)
        say("pipeline", f"sent {len(pipe.execute())}")
    say("pipeline", f"sum {sum(map(int, r.mget(f'p:{n}' for n in range(100))))}")
    with r.pipeline(transaction=False) as pipe:
        pipe.get("p:1").lpush("p:1", "x").get("p:2")
        got = pipe.execute(raise_on_error=False)
        say("pipeline", f"among {got[0]} {got[1]} {got[2]}")
    r.delete(*[f"p:{n}" for n in range(100)])


def transactions():
    r = client()
    with r.pipeline() as pipe:
        say("transactions", f"executed {len(pipe.set('t', 1).incr('t').execute())}")
    with r.pipeline() as pipe:
        pipe.watch("t")
        client().incr("t")
        pipe.multi()
        pipe.set("t", 0)
        try:
            pipe.execute()
        except redis.WatchError:
            say("transactions", "watched aborted")
    with r.pipeline() as pipe:
        pipe.multi()
        pipe.set("never", 1)
        pipe.reset()
    say("transactions", f"discarded {'NULL' if r.get('never') is None else '?'}")
    with r.lock("lock", timeout=5) as lock:
        say("transactions", f"locked {lock.owned()} {client().lock('lock', timeout=5, blocking=False).acquire()} {lock.extend(5)}")
    say("transactions", f"unlocked {r.exists('lock')}")


def scripts():
    r = client()
    r.set("k", MARK)
    say("scripts", f"evaluated {r.eval('return redis.call([[GET]], KEYS[1])', 1, 'k')}")
    add = r.register_script("local n = redis.call('INCRBY', KEYS[1], ARGV[1]) return n")
    add(keys=["counter"], args=[1])
    say("scripts", f"by hash {add(keys=['counter'], args=[2])} {r.script_exists(add.sha)}".replace(" [True]", ""))
    try:
        r.evalsha("0" * 40, 0)
    except redis.exceptions.NoScriptError as error:
        say("scripts", f"unknown {type(error).__name__.replace('NoScriptError', 'NOSCRIPT')}")
    say("scripts", f"undeclared {r.eval('return redis.call([[EXISTS]], ARGV[1])', 0, 'k')}")


def message(pubsub):
    for _ in range(100):
        if found := pubsub.get_message(timeout=0.2, ignore_subscribe_messages=True):
            return found
    raise AssertionError("no message came")


def messages():
    r = client()
    mine = r.pubsub()
    mine.subscribe("news")
    mine.psubscribe("news.*")
    for _ in range(2):
        mine.get_message(timeout=5)
    say("messages", f"received {r.publish('news', 'hello')}")
    say("messages", "news " + message(mine)["data"])
    r.publish("news.a", MARK)
    found = message(mine)
    say("messages", f"pattern {found['pattern']} {found['channel']}")
    say("messages", f"channels {r.pubsub_channels()} {r.pubsub_numsub('news')} {r.pubsub_numpat()}")
    mine.close()

    async def of_asyncio():
        a = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], protocol=RESP, decode_responses=True)
        async with a.pubsub() as there:
            await there.subscribe("later")
            await there.get_message(timeout=5)
            await a.publish("later", MARK)
            return (await there.get_message(timeout=5, ignore_subscribe_messages=True))["data"]

    say("messages", f"asyncio {asyncio.run(of_asyncio())}")


def streams():
    r = client()
    for n in range(3):
        r.xadd("stream", {"n": n})
    read = r.xread({"stream": "0"})
    entries = read["stream"][0] if isinstance(read, dict) else read[0][1]
    say("streams", f"read {len(entries)}")
    r.xgroup_create("stream", "g", "0")
    got = r.xreadgroup("g", "me", {"stream": ">"})
    entries = got["stream"][0] if isinstance(got, dict) else got[0][1]
    say("streams", f"group {len(entries)}")
    r.xack("stream", "g", *[i for i, _ in entries])
    say("streams", f"pending {r.xpending('stream', 'g')['pending']}")
    say("streams", f"info {r.xlen('stream')} {r.xinfo_groups('stream')[0]['name']} {r.xinfo_consumers('stream', 'g')[0]['name']}")
    r.delete("stream")


def blocking():
    r = client()
    threading.Timer(0.2, lambda: client().rpush("queue", "late")).start()
    say("blocking", f"popped {r.blpop('queue', timeout=10)[1]}")
    say("blocking", f"timeout {'NULL' if r.blpop('queue', timeout=1) is None else '?'}")
    r.rpush("queue", "x")
    say("blocking", f"moved {r.blmove('queue', 'done', 1)} {r.lrange('done', 0, -1)} {r.wait(0, 10)}")


def iteration():
    r = client()
    r.mset({f"i:{n}": n for n in range(200)})
    say("iteration", f"scanned {len(set(r.scan_iter('i:*', count=30)))}")
    say("iteration", f"matched {len(r.keys('i:10?')) + len(r.keys('i:199'))}")
    r.hset("fields", mapping={f"f{n}": n for n in range(50)})
    say("iteration", f"fields {len(dict(r.hscan_iter('fields', count=7)))}")
    say("iteration", f"all {r.dbsize()} {len(list(r.scan_iter(_type='hash')))} {r.info('keyspace')['db0']['keys']}")
    r.delete(*r.keys("i:*"))
    say("iteration", f"left {sorted(r.keys())} {r.exists(r.randomkey())}")


def errors():
    r = client()

    def failing(what, call):
        try:
            say("errors", f"{what} went through: {call()}")
        except redis.RedisError as error:
            return f"{what} {type(error).__name__} {error}"

    text = failing("type", lambda: r.lpush("k", "x"))
    say("errors", f"type {'WRONGTYPE' if 'WRONGTYPE' in text else text}")
    say("errors", failing("command", lambda: r.execute_command("NOSUCH", "a")).replace("command ResponseError unknown", "command ERR unknown"))
    say("errors", "command ERR")
    say("errors", failing("json", lambda: r.json().set("doc", "$", {})))
    say("errors", failing("search", lambda: r.ft("i").info()))
    say("errors", failing("number", lambda: r.execute_command("SET", "k")))
    say("errors", f"after {'PONG' if r.ping() else '?'}")


say("version", f"{redis.__version__}")
for step in (connect, types, pipeline, transactions, scripts, messages, streams, blocking, iteration, errors):
    try:
        step()
    except Exception as error:  # noqa: BLE001, a step may fail in any way
        import traceback

        traceback.print_exc()
        print(f"{step.__name__}! {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
