// What the programs for Node share.
const { env } = process;
const where = { host: env.REDIS_HOST, port: Number(env.REDIS_PORT), username: env.REDIS_USER, password: env.REDIS_PASSWORD };
const mark = env.MARK;
const text = "Zoë 'q' \"d\" \\ % $1 ?";
const say = (step, what) => console.log(`${step}: ${what}`);
const range = (count, of = (n) => n) => Array.from({ length: count }, (_, n) => of(n));
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const version = (name) => JSON.parse(require("node:fs").readFileSync(`${env.NODE_PATH}/${name}/package.json`)).version;

// Each step in its turn; one that fails says so and the others go on.
async function run(version, steps) {
  say("version", version);
  for (const [name, step] of Object.entries(steps)) {
    let timer;
    const late = new Promise((_, fail) => (timer = setTimeout(() => fail(new Error("not done after 30 s")), 30000)));
    try {
      await Promise.race([step((what) => say(name, what)), late]);
    } catch (error) {
      console.error(error);
      console.log(`${name}! ${error?.constructor?.name}: ${String(error?.message).replace(/\s+/g, " ")}`);
    }
    clearTimeout(timer);
  }
  process.exit(0);
}

module.exports = { where, mark, text, say, range, wait, version, run, url: env.REDIS_URL };
