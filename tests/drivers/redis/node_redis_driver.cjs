// node-redis: the protocol named by the argument, isolated connections from its pool, scripts and functions as methods, iterators.
const { createClient, defineScript } = require("redis");
const { url, mark, text, range, wait, version, run } = require("./common.cjs");

const RESP = Number(process.argv[2]);
const add = defineScript({ NUMBER_OF_KEYS: 1, SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])", parseCommand: (p, key, n) => { p.pushKey(key); p.push(String(n)); }, transformReply: (n) => n });
const open = async (more) => {
  const client = createClient({ url, RESP, name: "drivers", scripts: { add }, ...more });
  client.on("error", (error) => console.error(error));
  return client.connect();
};
const failing = (promise) => promise.then((value) => `went through: ${value}`, (error) => error.message);
let r;

run(version("redis"), {
  async connect(say) {
    r = await open();
    say(`ping ${await r.ping()}`);
    say(`keys ${await r.dbSize()}`);
    say(`name ${await r.clientGetName()} ${r.isReady}`);
    const other = await open({ database: 3 });
    say(`database ${await other.set("three", mark)} ${await r.exists("three")} ${await other.del("three")}`);
  },
  async types(say) {
    await r.set("text", `${text} ${mark}`);
    say(`string ${(await r.get("text")).slice(0, -mark.length - 1)}`);
    await r.set("raw", Buffer.from([0, 255, 13, 10]));
    const { RESP_TYPES } = require("redis");
    say(`bytes ${(await r.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get("raw")).toString("hex")}`);
    await r.set("n", 41);
    say(`number ${await r.incr("n")}`);
    await r.hSet("h", { a: 1, b: 2 });
    say(`hash ${Object.entries(await r.hGetAll("h")).sort().map((p) => p.join("=")).join(" ")}`);
    await r.rPush("l", ["x", "y", "z"]);
    say(`list ${await r.lRange("l", 0, -1)}`);
    await r.sAdd("s", ["a", "b", "c"]);
    say(`set ${[...(await r.sMembers("s"))].sort()}`);
    await r.zAdd("z", [{ score: 1, value: "a" }, { score: 2.5, value: "b" }]);
    say(`sorted ${(await r.zRangeWithScores("z", 0, -1)).map((m) => `${m.value}=${m.score}`).join(" ")}`);
    say(`none ${(await r.get("none")) ?? "NULL"}`);
    await r.set("soon", mark, { expiration: { type: "EX", value: 100 } });
    say(`expires ${(await r.ttl("soon")) > 90}`);
    say(`more ${await r.type("z")} ${await r.rename("soon", "later")} ${await r.copy("later", "again")} ${await r.unlink(["again", "later"])}`);
  },
  async pipeline(say) {
    say(`sent ${(await Promise.all(range(100, (n) => r.set(`p:${n}`, n)))).filter((a) => a === "OK").length}`);
    say(`sum ${(await r.mGet(range(100, (n) => `p:${n}`))).reduce((a, b) => a + Number(b), 0)}`);
    const among = await Promise.allSettled([r.get("p:1"), r.lPush("p:1", "x"), r.get("p:2")]);
    say(`among ${among.map((a) => a.value ?? a.reason.message)}`);
    await r.del(range(100, (n) => `p:${n}`));
  },
  async transactions(say) {
    say(`executed ${(await r.multi().set("t", 1).incr("t").exec()).length}`);
    const mine = await open();
    await mine.watch("t");
    await r.incr("t");
    say(`watched ${await mine.multi().set("t", 0).exec().then(() => "?", (e) => (e.constructor.name === "WatchError" ? "aborted" : e))}`);
    await mine.sendCommand(["MULTI"]);
    await mine.sendCommand(["SET", "never", "1"]);
    await mine.sendCommand(["DISCARD"]);
    say(`discarded ${(await r.get("never")) ?? "NULL"}`);
  },
  async scripts(say) {
    await r.set("k", mark);
    say(`evaluated ${await r.eval("return redis.call('GET', KEYS[1])", { keys: ["k"] })}`);
    await r.add("counter", 1);
    say(`by hash ${await r.add("counter", 2)}`);
    say(`unknown ${(await failing(r.evalSha("0".repeat(40)))).split(" ")[0]}`);
    say(`undeclared ${await r.eval("return redis.call('EXISTS', ARGV[1])", { arguments: ["k"] })}`);
  },
  async messages(say) {
    const mine = await open();
    const came = [];
    await mine.subscribe("news", (message, channel) => came.push(`${channel} ${message}`));
    await mine.pSubscribe("news.*", (message, channel) => came.push(`pattern news.* ${channel}`));
    say(`received ${await r.publish("news", "hello")}`);
    await r.publish("news.a", mark);
    for (let n = 0; n < 100 && came.length < 2; n++) await wait(20);
    came.forEach(say);
    say(`channels ${await r.pubSubChannels()} ${JSON.stringify(await r.pubSubNumSub(["news"]))} ${await r.pubSubNumPat()}`);
    await mine.unsubscribe("news");
    mine.destroy();
  },
  async streams(say) {
    for (const n of range(3)) await r.xAdd("stream", "*", { n: String(n) });
    const count = (found) => (Array.isArray(found) ? found[0].messages : Object.values(found)[0]).length;
    say(`read ${count(await r.xRead({ key: "stream", id: "0" }))}`);
    await r.xGroupCreate("stream", "g", "0");
    const found = await r.xReadGroup("g", "me", { key: "stream", id: ">" });
    say(`group ${count(found)}`);
    await r.xAck("stream", "g", (Array.isArray(found) ? found[0].messages : Object.values(found)[0]).map((e) => e.id));
    say(`pending ${(await r.xPending("stream", "g")).pending}`);
    say(`info ${(await r.xInfoGroups("stream"))[0].name}`);
    await r.del("stream");
  },
  async blocking(say) {
    setTimeout(() => r.rPush("queue", "late"), 200);
    const mine = await open();
    say(`popped ${(await mine.blPop("queue", 10)).element}`);
    say(`timeout ${(await mine.blPop("queue", 1)) ?? "NULL"}`);
    await r.rPush("queue", "x");
    say(`moved ${await mine.blMove("queue", "done", "LEFT", "RIGHT", 1)} ${await r.lRange("done", 0, -1)}`);
    mine.destroy();
  },
  async iteration(say) {
    await r.mSet(Object.fromEntries(range(200, (n) => [`i:${n}`, String(n)])));
    const seen = new Set();
    for await (const page of r.scanIterator({ MATCH: "i:*", COUNT: 30 })) page.forEach((key) => seen.add(key));
    say(`scanned ${seen.size}`);
    say(`matched ${(await r.keys("i:10?")).length + (await r.keys("i:199")).length}`);
    await r.hSet("fields", Object.fromEntries(range(50, (n) => [`f${n}`, n])));
    let fields = 0;
    for await (const page of r.hScanIterator("fields", { COUNT: 7 })) fields += page.length;
    say(`fields ${fields}`);
    await r.del(await r.keys("i:*"));
    say(`left ${(await r.keys("*")).sort()} ${await r.dbSize()} ${await r.exists(await r.randomKey())}`);
  },
  async errors(say) {
    const type = await failing(r.lPush("k", "x"));
    say(`type ${type.split(" ")[0]}`);
    const unknown = await failing(r.sendCommand(["NOSUCH", "a"]));
    say(`command ${unknown.split(" ")[0]}`);
    say(`said ${type} / ${unknown} / ${await failing(r.json.set("doc", "$", {}))} / ${await failing(r.sendCommand(["SET", "k"]))}`);
    say(`after ${await r.ping()}`);
  },
});
