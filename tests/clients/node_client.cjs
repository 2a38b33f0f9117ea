// node-postgres: parameters, types, prepared statements, transactions, errors, a pool.
const assert = require("node:assert");
const { Client, Pool } = require("pg");

const config = (tenant) => ({
  host: "127.0.0.1",
  port: Number(process.env.PORT),
  user: "app",
  database: "app",
  options: `-c partywall.tenant=${tenant}`,
});

async function main() {
  const [acme, globex] = [new Client(config("acme")), new Client(config("globex"))];
  await acme.connect();
  await globex.connect();
  await globex.query("INSERT INTO things (name) VALUES ('theirs')");
  const made = await acme.query("INSERT INTO things (name, size) VALUES ($1, $2) RETURNING id, name", ["mine", 3]);
  assert.equal(made.rows[0].name, "mine");
  assert.deepEqual((await acme.query("SELECT name FROM things")).rows, [{ name: "mine" }]);
  assert.equal((await acme.query("UPDATE things SET size = size + $1 WHERE id = $2", [4, made.rows[0].id])).rowCount, 1);
  const at = new Date("2024-02-29T12:30:00Z");
  const values = ["12.50", at, { a: [1, null] }, Buffer.from([0, 255]), ["a", null, 'q"'], true];
  const typed = await acme.query(
    "UPDATE things SET price = $1, at = $2, data = $3, raw = $4, tags = $5, good = $6 RETURNING price, at, data, raw, tags, good",
    values,
  );
  assert.deepEqual(Object.values(typed.rows[0]), values);
  for (let n = 0; n < 5; n++) {
    const named = await acme.query({ name: "by-size", text: "SELECT name FROM things WHERE size > $1", values: [n] });
    assert.equal(named.rows[0].name, "mine");
  }
  const array = await acme.query({ text: "SELECT id, name FROM things", rowMode: "array" });
  assert.equal(array.rows[0][1], "mine");
  await assert.rejects(acme.query("SELECT * FROM nowhere"), { code: "42P01" });
  await assert.rejects(acme.query("SELECT nothing FROM things"), { code: "42703" });
  await assert.rejects(acme.query("INSERT INTO things (name) VALUES ($1)", [null]), { code: "23502" });
  await assert.rejects(acme.query("INSERT INTO things (tenant_id, name) VALUES ($1, 'x')", ["globex"]), { code: "42501" });
  await acme.query("BEGIN");
  await acme.query("DELETE FROM things");
  await assert.rejects(acme.query("SELECT 1/0"), { code: "22012" });
  await assert.rejects(acme.query("SELECT 1"), { code: "25P02" });
  await acme.query("ROLLBACK");
  assert.equal((await acme.query("SELECT count(*)::int AS n FROM things")).rows[0].n, 1);

  const pool = new Pool({ ...config("acme"), max: 4 });
  const inserted = Array.from({ length: 20 }, (_, n) => pool.query("INSERT INTO things (name, size) VALUES ($1, $2)", [`pool ${n}`, n]));
  await Promise.all(inserted);
  assert.equal((await pool.query("DELETE FROM things")).rowCount, 21);
  await pool.end();
  assert.deepEqual((await globex.query("DELETE FROM things RETURNING name")).rows, [{ name: "theirs" }]);
  await acme.end();
  await globex.end();
  const nobody = new Client({ ...config("acme"), options: undefined });
  await assert.rejects(nobody.connect(), { code: "28000" });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
