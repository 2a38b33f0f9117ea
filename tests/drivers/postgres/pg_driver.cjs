// node-postgres: text results, named statements, a pool, and its helpers for COPY and cursors.
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");
const { from, to } = require("pg-copy-streams");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const { where, options, mark, values, columns, errors, sayTypes, nulls, range, sum, run, version } = require("./common.cjs");

async function open(more) {
  const client = new Client({ ...where, options, ...more });
  await client.connect();
  return client;
}
const one = async (client, ...query) => Object.values((await client.query(...query)).rows[0])[0];
const insert = "INSERT INTO things (id, name, size) VALUES ($1, $2, $3)";

run(version("pg"), {
  async connect(say) {
    const client = await open({ application_name: "drivers" });
    say(`server ${(await one(client, "SHOW server_version")).split(".")[0]}`);
    say(`rows ${await one(client, "SELECT count(*) FROM things")}`);
    say(`name ${await one(client, "SHOW application_name")}`);
    await client.end();
  },
  async types(say) {
    const client = await open();
    const slots = columns.map((_, n) => `$${n + 1}`).join(", ");
    await client.query(`INSERT INTO things (id, ${columns}) VALUES (1, ${slots})`, Object.values(values));
    const typed = await client.query(`SELECT ${columns} FROM things WHERE id = $1`, [1]);
    say(`oids ${typed.fields.map((f) => (f.dataTypeID < 10000 ? f.dataTypeID : "own"))}`);
    sayTypes(typed.rows[0]);
    await client.query("INSERT INTO things (id, name, size, feeling) VALUES (2, $1, $2, $3)", [`types nulls ${mark}`, null, null]);
    say(`nulls ${nulls((await client.query(`SELECT ${columns} FROM things WHERE id = 2`)).rows[0])}`);
    const binary = await client.query({ text: "SELECT size, good FROM things WHERE id = $1", values: [1], binary: true });
    say(`binary ${JSON.stringify(binary.rows[0])}`);
  },
  async prepared(say) {
    const client = await open();
    const made = await Promise.all(range(20, (n) => client.query({ name: "ins", text: insert, values: [100 + n, `prepared ${n} ${mark}`, n] })));
    say(`inserted ${sum(made.map((m) => m.rowCount))}`);
    const text = "SELECT size FROM things WHERE id = $1";
    say(`named ${sum(await Promise.all(range(20, (n) => one(client, { name: "by-id", text, values: [100 + n] }))))}`);
    say(`unnamed ${sum(await Promise.all(range(20, (n) => one(client, text, [100 + n]))))}`);
    say(`any ${await one(client, "SELECT count(*) FROM things WHERE id = ANY($1)", [[1, 100, 119, 9999]])}`);
    const array = await client.query({ name: "by-id", text, values: [101], rowMode: "array" });
    say(`array ${JSON.stringify(array.rows)}`);
  },
  async transactions(say) {
    const client = await open();
    const add = (id, name) => client.query("INSERT INTO things (id, name) VALUES ($1, $2)", [id, `${name} ${mark}`]);
    await client.query("BEGIN");
    await add(200, "undone");
    await client.query("ROLLBACK");
    say(`rolled back ${await one(client, "SELECT count(*) FROM things WHERE id = 200")}`);
    await client.query("BEGIN ISOLATION LEVEL SERIALIZABLE");
    await add(201, "kept 201");
    await client.query("SAVEPOINT s");
    await add(202, "undone");
    await client.query("ROLLBACK TO SAVEPOINT s");
    await add(203, "kept 203");
    await client.query("COMMIT");
    say(`kept ${(await client.query("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id")).rows.map((r) => r.id)}`);
    await client.query("BEGIN");
    await add(201, "again").catch(() => {});
    await client.query("SELECT 1").catch((error) => say(`aborted ${error.code}`));
    say(`then ${(await client.query("COMMIT")).command}`);
    await client.query("BEGIN");
    for (const n of range(3)) await one(client, "INSERT INTO parts (thing_id, label) VALUES (201, $1) RETURNING id", [`part ${n} ${mark}`]);
    await client.query("COMMIT");
    say(`parts ${await one(client, "SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id")}`);
  },
  async errors(say) {
    const client = await open();
    for (const [what, sql] of Object.entries(errors)) {
      for (const parameters of [undefined, []]) {
        const query = parameters ? { text: sql, values: parameters, name: `e ${what}` } : sql;
        const error = await client.query(query).then(() => ({}), (error) => error);
        say(`${what} ${error.code}`);
        say(`${what} ${error.message} / ${error.constraint} / ${error.table} / ${error.column} / ${error.position} / ${error.severity}`);
      }
    }
    say(`after ${await one(client, "SELECT 42")}`);
  },
  async bulk(say) {
    const client = await open();
    const rows = range(1000, (n) => `${1000 + n}\tbulk ${n} ${mark}\t${n}\n`);
    const into = client.query(from("COPY things (id, name, size) FROM STDIN"));
    await pipeline(Readable.from(rows), into);
    say(`loaded ${into.rowCount}`);
    say(`sum ${await one(client, "SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999")}`);
    const pool = new Pool({ ...where, options, max: 4 });
    const batch = await Promise.all(range(100, (n) => pool.query(insert, [2000 + n, `batch ${n} ${mark}`, n])));
    say(`batch ${sum(batch.map((b) => b.rowCount))}`);
    await pool.end();
    say(`updated ${(await client.query("UPDATE things SET size = size + $1 WHERE id BETWEEN 1000 AND 1999", [1])).rowCount}`);
    say(`deleted ${(await client.query("DELETE FROM things WHERE id >= 2000")).rowCount}`);
    const out = [];
    await client.query(to("COPY (SELECT id FROM things WHERE id >= 1000 ORDER BY id) TO STDOUT")).forEach((piece) => out.push(piece));
    say(`out ${Buffer.concat(out).toString().trim().split("\n").length}`);
    const cursor = client.query(new Cursor("SELECT id FROM things WHERE id >= $1 ORDER BY id", [1000]));
    let seen = 0;
    for (let page = await cursor.read(70); page.length; page = await cursor.read(70)) seen += page.length;
    await cursor.close();
    say(`streamed ${seen}`);
    const cut = client.query(new Cursor("SELECT id FROM things WHERE id >= $1 ORDER BY id", [1000]));
    say(`cut ${(await cut.read(3)).map((r) => r.id)}`);
    await cut.close();
    const several = await client.query("SELECT 1 AS a; SELECT count(*)::int AS b FROM things; SELECT 3 AS c");
    say(`several ${JSON.stringify(several.map((r) => r.rows))}`);
    say(`total ${await one(client, "SELECT count(*) FROM things")}`);
  },
  async introspection(say) {
    const client = await open();
    const found = await client.query("SELECT column_name, udt_name, is_nullable FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position", ["things"]);
    say(`columns ${found.rows.map((r) => r.column_name)}`);
    for (const row of found.rows) say(`column ${Object.values(row).join(" ")}`);
    const key = await client.query(
      "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY a.attnum",
      ["things"],
    );
    say(`key ${key.rows.map((r) => r.attname)}`);
  },
});
