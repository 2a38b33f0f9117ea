// What the programs for Node share: where to connect, the values, and how results are said.
const { env } = process;
const where = { host: env.PGHOST, port: Number(env.PGPORT), user: env.PGUSER, database: env.PGDATABASE };
const options = env.TENANT_OPTIONS || undefined; // "-c partywall.tenant=…"
const mark = env.MARK; // this session's own, in all its rows
const text = "Zoë 'q' \"d\" \\ % $1 ?";
const values = {
  size: 2147483647,
  big: "-9007199254740991",
  price: "12.50",
  name: `${text} ${mark}`,
  raw: Buffer.from([0, 255, 92, 39]),
  at: new Date("2024-02-29T12:30:00Z"),
  day: "2024-02-29",
  code: "00000000-0000-0000-0000-000000000007",
  data: { a: [1, null] },
  tags: ["a", null, 'q"'],
  sizes: [1, 2, 3],
  feeling: "happy",
  good: true,
  ratio: 0.1,
};
const columns = Object.keys(values);
const types = { size: "int", big: "bigint", price: "numeric", name: "text", raw: "bytea", at: "timestamptz", day: "date", code: "uuid",
  data: "jsonb", feeling: "enum", good: "boolean", ratio: "double" };
const errors = {
  unique: `INSERT INTO things (id, name) VALUES (300, 'types nulls ${mark}')`,
  syntax: "SELECT id FROM things WHERE WHERE",
  column: "SELECT id, nosuch FROM things",
  table: "SELECT * FROM nowhere",
  null: "INSERT INTO things (id, name) VALUES (300, NULL)",
  check: `INSERT INTO things (id, name, size) VALUES (300, 'c ${mark}', -1)`,
  "foreign key": "INSERT INTO parts (thing_id, label) VALUES (999999, 'none')",
  division: "SELECT 1 / (size - size) FROM things WHERE id = 1",
  input: "SELECT 'x'::int",
};

const say = (step, what) => console.log(`${step}: ${what}`);

// One value as every program writes it.
function plain(value) {
  if (value === null || value === undefined) return "NULL";
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (value instanceof Date) return value.toISOString().replace(".000Z", "Z");
  if (Array.isArray(value)) return value.map(plain).join(",");
  return typeof value === "object" && value.constructor === Object ? JSON.stringify(value) : String(value);
}

// A row of `columns`, by name, as it came back.
function sayTypes(row) {
  for (const column of columns) {
    let value = row[column];
    if (column === "name") value = value.slice(0, -mark.length - 1);
    if (column === "price") value = Number(value).toFixed(2);
    const written = plain(value);
    say("types", `${types[column] ?? column} ${column === "day" ? written.slice(0, 10) : written}`);
  }
}

const nulls = (row) => columns.filter((column) => row[column] === null).length;
const range = (count, of = (n) => n) => Array.from({ length: count }, (_, n) => of(n));
const sum = (numbers) => numbers.reduce((a, b) => a + Number(b), 0);

// The error of the driver below, with PostgreSQL's fields; libraries wrap it.
function cause(error) {
  for (const inner of [error.cause?.originalCode ? { code: error.cause.originalCode } : null, error.original, error.parent, error.driverError, error.cause, error]) {
    if (inner?.code) return inner;
  }
  throw error;
}

// Each step in its turn; one that fails says so and the others go on.
async function run(version, steps) {
  say("version", version);
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step((what) => say(name, what));
    } catch (error) {
      console.error(error);
      console.log(`${name}! ${error?.constructor?.name}: ${String(error?.message).replace(/\s+/g, " ")}`);
    }
  }
  process.exit(0);
}

// Of an installed package, also one that does not export its package.json.
const version = (name) => JSON.parse(require("node:fs").readFileSync(`${env.NODE_PATH}/${name}/package.json`)).version;

module.exports = {
  version, where, options, mark, text, values, columns, errors, say, sayTypes, nulls, range, sum, cause, run,
};
