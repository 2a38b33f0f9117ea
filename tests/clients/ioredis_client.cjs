// ioredis: two tenants at once with equal key names.
const assert = require("node:assert");
const Redis = require("ioredis");

const options = { host: "127.0.0.1", port: Number(process.env.PORT), password: "x", maxRetriesPerRequest: 0, retryStrategy: null };
const connect = (username) => new Redis({ ...options, username });

async function scanned(client, match) {
  const keys = [];
  for await (const page of client.scanStream({ match, count: 13 })) keys.push(...page);
  return keys.sort();
}

async function one(me, client) {
  const piped = await client.pipeline().set("k", me).get("k").lpush("k", "x").hset("h", "f", me).hgetall("h").exec();
  assert.deepEqual(piped.map(([error, value]) => (error ? "error" : value)), ["OK", me, "error", 1, { f: me }]);
  assert.match(piped[2][0].message, /^WRONGTYPE/);
  assert.deepEqual(await client.multi().incr("n").get("n").keys("n*").exec(), [[null, 1], [null, "1"], [null, ["n"]]]);
  await client.watch("n");
  await client.incr("n");
  const other = connect(me);
  await other.incr("n");
  assert.equal(await client.multi().set("n", 0).exec(), null);
  assert.equal(await client.get("n"), "3");
  const names = Array.from({ length: 200 }, (_, n) => `walk:${n}`).sort();
  await client.mset(...names.flatMap((name) => [name, me]));
  assert.deepEqual(await scanned(client, "walk:*"), names);
  assert.deepEqual(await scanned(client, "*"), ["h", "k", "n", ...names].sort());
  client.defineCommand("both", { numberOfKeys: 1, lua: "return {KEYS[1], redis.call('GET', KEYS[1]), ARGV[1]}" });
  assert.deepEqual(await client.both("k", "a"), ["k", me, "a"]);
  const popped = other.blpop("jobs", 10);
  await client.rpush("jobs", me);
  assert.deepEqual(await popped, ["jobs", me]);
  await client.xadd("s", "1-1", "f", me);
  assert.deepEqual(await client.xread("STREAMS", "s", "0"), [["s", [["1-1", ["f", me]]]]]);
  other.disconnect();
}

async function hear(subscriber) {
  const heard = [];
  subscriber.on("message", (channel, text) => heard.push(`${channel}=${text}`));
  subscriber.on("pmessage", (pattern, channel, text) => heard.push(`${pattern} ${channel}=${text}`));
  assert.equal(await subscriber.subscribe("ch", "end"), 2);
  assert.equal(await subscriber.psubscribe("c*"), 3);
  return heard;
}

async function main() {
  const [acme, globex] = [connect("acme"), connect("globex")];
  await Promise.all([one("acme", acme), one("globex", globex)]);
  const [a, g] = [connect("acme"), connect("globex")];
  const [heardA, heardG] = [await hear(a), await hear(g)];
  assert.equal(await acme.publish("ch", "of acme"), 2);
  assert.equal(await globex.publish("ch", "of globex"), 2);
  const ended = Promise.all([a, g].map((client) => new Promise((done) => client.on("message", (channel) => channel === "end" && done()))));
  await acme.publish("end", "");
  await globex.publish("end", "");
  await ended;
  assert.deepEqual(heardA.sort(), ["c* ch=of acme", "ch=of acme", "end="]);
  assert.deepEqual(heardG.sort(), ["c* ch=of globex", "ch=of globex", "end="]);
  assert.equal(await acme.dbsize(), 204);
  assert.equal(await acme.flushall(), "OK");
  assert.equal(await acme.dbsize(), 0);
  assert.equal(await globex.get("k"), "globex");
  assert.equal(await globex.dbsize(), 204);
  await assert.rejects(acme.config("SET", "maxmemory", "1"), /NOPERM/);
  for (const client of [acme, globex, a, g]) client.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
