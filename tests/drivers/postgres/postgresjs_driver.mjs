// postgres.js: every statement prepared and pipelined, types looked up in the catalogs, cursors, COPY.
import { createRequire } from "node:module";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import common from "./common.cjs";

const require = createRequire(import.meta.url);
const postgres = require("postgres");
const { where, mark, values, columns, errors, sayTypes, nulls, range, sum, run, version } = common;
const tenant = process.env.TENANT;
const open = (more) => postgres({ ...where, username: where.user, max: 2, onnotice: () => {}, connection: tenant ? { "partywall.tenant": tenant } : {}, ...more });
const sql = open();

await run(version("postgres"), {
  async connect(say) {
    const [{ server_version: version }] = await sql`SHOW server_version`;
    say(`server ${version.split(".")[0]}`);
    say(`rows ${(await sql`SELECT count(*) FROM things`)[0].count}`);
    say(`encoding ${(await sql`SHOW client_encoding`)[0].client_encoding}`);
  },
  async types(say) {
    await sql`INSERT INTO things ${sql({ id: 1, ...values, data: sql.json(values.data) })}`;
    const rows = await sql`SELECT ${sql(columns)} FROM things WHERE id = ${1}`;
    say(`oids ${rows.columns.map((c) => (c.type < 10000 ? c.type : "own"))}`);
    sayTypes(rows[0]);
    await sql`INSERT INTO things ${sql({ id: 2, name: `types nulls ${mark}`, size: null, feeling: null })}`;
    say(`nulls ${nulls((await sql`SELECT ${sql(columns)} FROM things WHERE id = 2`)[0])}`);
    const [{ moods }] = await sql`SELECT array_agg(feeling) AS moods FROM things WHERE id = 1`;
    say(`array of enum ${JSON.stringify(moods)}`);
  },
  async prepared(say) {
    const made = await Promise.all(range(20, (n) => sql`INSERT INTO things ${sql({ id: 100 + n, name: `prepared ${n} ${mark}`, size: n })}`));
    say(`inserted ${sum(made.map((m) => m.count))}`);
    const size = (db, n) => db`SELECT size FROM things WHERE id = ${100 + n}`.then((rows) => rows[0].size);
    say(`named ${sum(await Promise.all(range(20, (n) => size(sql, n))))}`);
    const plain = open({ prepare: false });
    say(`unnamed ${sum(await Promise.all(range(20, (n) => size(plain, n))))}`);
    await plain.end();
    say(`any ${(await sql`SELECT count(*) FROM things WHERE id = ANY(${[1, 100, 119, 9999]})`)[0].count}`);
    say(`in ${(await sql`SELECT count(*) FROM things WHERE id IN ${sql([1, 100, 119, 9999])}`)[0].count}`);
    const described = await sql`SELECT id, name FROM things WHERE size > ${1}`.describe();
    say(`described ${described.types} ${described.columns.map((c) => c.name)}`);
  },
  async transactions(say) {
    const add = (db, id, name) => db`INSERT INTO things ${db({ id, name: `${name} ${mark}` })}`;
    const undo = new Error("undo");
    const undone = (error) => {
      if (error !== undo) throw error;
    };
    await sql.begin(async (t) => {
      await add(t, 200, "undone");
      throw undo;
    }).catch(undone);
    say(`rolled back ${(await sql`SELECT count(*) FROM things WHERE id = 200`)[0].count}`);
    await sql.begin("isolation level repeatable read", async (t) => {
      await add(t, 201, "kept 201");
      await t.savepoint(async (s) => {
        await add(s, 202, "undone");
        throw undo;
      }).catch(undone);
      await add(t, 203, "kept 203");
    });
    say(`kept ${(await sql`SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id`).map((r) => r.id)}`);
    await sql.begin(async (t) => {
      await add(t, 201, "again").catch(() => {});
      await t`SELECT 1`.catch((error) => say(`aborted ${error.code}`));
    }).catch(() => {});
    await sql.begin((t) => range(3, (n) => t`INSERT INTO parts ${t({ thing_id: 201, label: `part ${n} ${mark}` })} RETURNING id`));
    say(`parts ${(await sql`SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id`)[0].count}`);
  },
  async errors(say) {
    for (const [what, text] of Object.entries(errors)) {
      for (const query of [sql.unsafe(text), sql.unsafe(text, [], { prepare: true })]) {
        const error = await query.then(() => ({}), (error) => error);
        say(`${what} ${error.code}`);
        say(`${what} ${error.message} / ${error.constraint_name} / ${error.table_name} / ${error.position}`);
      }
    }
    const slow = sql`SELECT sum(a * b) FROM generate_series(1, 20000) a, generate_series(1, 20000) b WHERE a + b <> ${-1}`;
    setTimeout(() => slow.cancel(), 1500); // It asks once only, so the server must have begun.
    say(`cancelled ${await slow.then(() => "not", (error) => error.code)}`);
    say(`after ${(await sql`SELECT 42 AS n`)[0].n}`);
  },
  async bulk(say) {
    const into = await sql`COPY things (id, name, size) FROM STDIN`.writable();
    await pipeline(Readable.from(range(1000, (n) => `${1000 + n}\tbulk ${n} ${mark}\t${n}\n`)), into);
    say(`loaded ${(await sql`SELECT count(*) FROM things WHERE id >= 1000`)[0].count}`);
    say(`sum ${(await sql`SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999`)[0].sum}`);
    say(`batch ${(await sql`INSERT INTO things ${sql(range(100, (n) => ({ id: 2000 + n, name: `batch ${n} ${mark}`, size: n })))}`).count}`);
    say(`updated ${(await sql`UPDATE things SET size = size + ${1} WHERE id BETWEEN 1000 AND 1999`).count}`);
    say(`deleted ${(await sql`DELETE FROM things WHERE id >= 2000`).count}`);
    let bytes = "";
    for await (const piece of await sql`COPY (SELECT id FROM things WHERE id >= 1000 ORDER BY id) TO STDOUT`.readable()) bytes += piece;
    say(`out ${bytes.trim().split("\n").length}`);
    let seen = 0;
    for await (const page of sql`SELECT id FROM things WHERE id >= ${1000} ORDER BY id`.cursor(70)) seen += page.length;
    say(`streamed ${seen}`);
    let singly = 0;
    await sql`SELECT id FROM things WHERE id >= ${1000}`.forEach(() => singly++);
    say(`singly ${singly}`);
    say(`total ${(await sql`SELECT count(*) FROM things`)[0].count}`);
  },
  async introspection(say) {
    const found = await sql`SELECT column_name, udt_name, is_nullable FROM information_schema.columns WHERE table_name = ${"things"} ORDER BY ordinal_position`;
    say(`columns ${found.map((r) => r.column_name)}`);
    for (const row of found) say(`column ${Object.values(row).join(" ")}`);
    const key = await sql`SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
      WHERE i.indrelid = ${"things"}::regclass AND i.indisprimary ORDER BY a.attnum`;
    say(`key ${key.map((r) => r.attname)}`);
    const channel = await sql.listen("ch", (payload) => heard(payload));
    let heard;
    const said = new Promise((done) => (heard = done));
    await sql.notify("ch", `hello ${mark}`);
    say(`heard ${await said}`);
    await channel.unlisten();
  },
});
