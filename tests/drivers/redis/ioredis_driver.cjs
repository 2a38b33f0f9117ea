// ioredis: automatic pipelining, its own commands made of scripts, streams of SCAN, subscriber connections.
const Redis = require("ioredis");
const { where, mark, text, range, wait, version, run } = require("./common.cjs");

const open = (more) => new Redis({ ...where, connectionName: "drivers", ...more });
const r = open();
const failing = (promise) => promise.then((value) => `went through: ${value}`, (error) => error.message);

run(version("ioredis"), {
  async connect(say) {
    say(`ping ${await r.ping()}`);
    say(`keys ${await r.dbsize()}`);
    say(`name ${await r.client("GETNAME")} ${r.status}`);
    const other = open({ db: 3, keyPrefix: "pre:" });
    say(`database ${await other.set("three", mark)} ${await r.exists("pre:three")} ${await other.get("three")} ${await other.del("three")}`);
  },
  async types(say) {
    await r.set("text", `${text} ${mark}`);
    say(`string ${(await r.get("text")).slice(0, -mark.length - 1)}`);
    await r.set("raw", Buffer.from([0, 255, 13, 10]));
    say(`bytes ${(await r.getBuffer("raw")).toString("hex")}`);
    await r.set("n", 41);
    say(`number ${await r.incr("n")}`);
    await r.hset("h", { a: 1, b: 2 });
    say(`hash ${Object.entries(await r.hgetall("h")).sort().map((p) => p.join("=")).join(" ")}`);
    await r.rpush("l", "x", "y", "z");
    say(`list ${await r.lrange("l", 0, -1)}`);
    await r.sadd("s", "a", "b", "c");
    say(`set ${(await r.smembers("s")).sort()}`);
    await r.zadd("z", 1, "a", 2.5, "b");
    const sorted = await r.zrange("z", 0, -1, "WITHSCORES");
    say(`sorted ${range(sorted.length / 2, (n) => `${sorted[2 * n]}=${sorted[2 * n + 1]}`).join(" ")}`);
    say(`none ${(await r.get("none")) ?? "NULL"}`);
    await r.set("soon", mark, "EX", 100);
    say(`expires ${(await r.ttl("soon")) > 90}`);
    say(`more ${await r.type("z")} ${await r.rename("soon", "later")} ${await r.copy("later", "again")} ${await r.unlink("again", "later")}`);
  },
  async pipeline(say) {
    const auto = open({ enableAutoPipelining: true });
    say(`sent ${(await Promise.all(range(100, (n) => auto.set(`p:${n}`, n)))).filter((a) => a === "OK").length}`);
    say(`sum ${(await r.mget(range(100, (n) => `p:${n}`))).reduce((a, b) => a + Number(b), 0)}`);
    const among = await r.pipeline().get("p:1").lpush("p:1", "x").get("p:2").exec();
    say(`among ${JSON.stringify(among.map(([error, value]) => error?.message ?? value))}`);
    await r.del(range(100, (n) => `p:${n}`));
  },
  async transactions(say) {
    say(`executed ${(await r.multi().set("t", 1).incr("t").exec()).length}`);
    const mine = open();
    await mine.watch("t");
    await r.incr("t");
    say(`watched ${(await mine.multi().set("t", 0).exec()) === null ? "aborted" : "?"}`);
    await mine.multi({ pipeline: false });
    await mine.set("never", 1);
    await mine.discard();
    say(`discarded ${(await r.get("never")) ?? "NULL"}`);
  },
  async scripts(say) {
    await r.set("k", mark);
    say(`evaluated ${await r.eval("return redis.call('GET', KEYS[1])", 1, "k")}`);
    r.defineCommand("add", { numberOfKeys: 1, lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" });
    await r.add("counter", 1);
    say(`by hash ${await r.add("counter", 2)}`);
    say(`unknown ${(await failing(r.evalsha("0".repeat(40), 0))).split(" ")[0]}`);
    say(`undeclared ${await r.eval("return redis.call('EXISTS', ARGV[1])", 0, "k")}`);
  },
  async messages(say) {
    const mine = open();
    await mine.subscribe("news");
    await mine.psubscribe("news.*");
    const came = [];
    mine.on("message", (channel, message) => came.push(`${channel} ${message}`));
    mine.on("pmessage", (pattern, channel) => came.push(`pattern ${pattern} ${channel}`));
    say(`received ${await r.publish("news", "hello")}`);
    await r.publish("news.a", mark);
    for (let n = 0; n < 100 && came.length < 2; n++) await wait(20);
    came.forEach(say);
    say(`channels ${await r.pubsub("CHANNELS")} ${await r.pubsub("NUMSUB", "news")} ${await r.pubsub("NUMPAT")}`);
    mine.disconnect();
  },
  async streams(say) {
    for (const n of range(3)) await r.xadd("stream", "*", "n", n);
    say(`read ${(await r.xread("STREAMS", "stream", 0))[0][1].length}`);
    await r.xgroup("CREATE", "stream", "g", 0);
    const [[name, entries]] = await r.xreadgroup("GROUP", "g", "me", "STREAMS", "stream", ">");
    say(`group ${entries.length}`);
    await r.xack("stream", "g", ...entries.map((e) => e[0]));
    say(`pending ${(await r.xpending("stream", "g"))[0]}`);
    say(`info ${name} ${(await r.xinfo("GROUPS", "stream"))[0][1]}`);
    await r.del("stream");
  },
  async blocking(say) {
    setTimeout(() => r.rpush("queue", "late"), 200);
    const mine = open();
    say(`popped ${(await mine.blpop("queue", 10))[1]}`);
    say(`timeout ${(await mine.blpop("queue", 1)) ?? "NULL"}`);
    await r.rpush("queue", "x");
    say(`moved ${await mine.blmove("queue", "done", "LEFT", "RIGHT", 1)} ${await r.lrange("done", 0, -1)}`);
    mine.disconnect();
  },
  async iteration(say) {
    await r.mset(Object.fromEntries(range(200, (n) => [`i:${n}`, n])));
    const seen = new Set();
    for await (const page of r.scanStream({ match: "i:*", count: 30 })) page.forEach((key) => seen.add(key));
    say(`scanned ${seen.size}`);
    say(`matched ${(await r.keys("i:10?")).length + (await r.keys("i:199")).length}`);
    await r.hset("fields", Object.fromEntries(range(50, (n) => [`f${n}`, n])));
    const fields = [];
    for await (const page of r.hscanStream("fields", { count: 7 })) fields.push(...page);
    say(`fields ${fields.length / 2}`);
    await r.del(await r.keys("i:*"));
    say(`left ${(await r.keys("*")).sort()} ${await r.dbsize()} ${await r.exists(await r.randomkey())}`);
  },
  async errors(say) {
    const type = await failing(r.lpush("k", "x"));
    say(`type ${type.split(" ")[0]}`);
    const unknown = await failing(r.call("NOSUCH", "a"));
    say(`command ${unknown.split(" ")[0]}`);
    say(`said ${type} / ${unknown} / ${await failing(r.call("JSON.SET", "doc", "$", "{}"))} / ${await failing(r.call("SET", "k"))}`);
    say(`after ${await r.ping()}`);
  },
});
