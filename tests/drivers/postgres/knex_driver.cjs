// Knex over node-postgres: its builder, streams, batches, transactions, columnInfo.
const knex = require("knex");
const { where, options, mark, values, columns, errors, sayTypes, nulls, range, sum, run, version } = require("./common.cjs");

const db = knex({ client: "pg", connection: { ...where, options }, pool: { min: 0, max: 3 } });
const count = async (query) => (await query.count())[0].count;

run(version("knex"), {
  async connect(say) {
    say(`server ${(await db.raw("SHOW server_version")).rows[0].server_version.split(".")[0]}`);
    say(`rows ${await count(db("things"))}`);
    say(`has ${await db.schema.hasTable("things")} ${await db.schema.hasTable("nowhere")} ${await db.schema.hasColumn("things", "price")}`);
  },
  async types(say) {
    await db("things").insert({ id: 1, ...values });
    sayTypes(await db("things").select(columns).where({ id: 1 }).first());
    await db("things").insert({ id: 2, name: `types nulls ${mark}`, size: null });
    say(`nulls ${nulls(await db("things").where("id", 2).first())}`);
    say(`json ${await count(db("things").whereJsonPath("data", "$.a[0]", "=", 1))} ${await count(db("things").whereJsonSupersetOf("data", { a: [1] }))}`);
  },
  async prepared(say) {
    say(`inserted ${sum(await Promise.all(range(20, async (n) => (await db("things").insert({ id: 100 + n, name: `prepared ${n} ${mark}`, size: n }).returning("size")).length)))}`);
    for (const way of ["named", "unnamed"]) {
      say(`${way} ${sum(await Promise.all(range(20, async (n) => (await db("things").where("id", 100 + n).first("size")).size)))}`);
    }
    say(`any ${await count(db("things").whereIn("id", [1, 100, 119, 9999]))}`);
    const [made] = await db("things").insert({ id: 100, name: `merged ${mark}`, size: 1 }).onConflict("id").merge({ size: 0 }).returning(["id", "size"]);
    say(`merged ${JSON.stringify(made)}`);
    const grouped = await db("things").select(db.raw("size % 2 AS odd")).count("* AS n").whereBetween("id", [100, 119]).groupBy("odd").havingRaw("count(*) > ?", [3]).orderBy("odd");
    say(`grouped ${JSON.stringify(grouped)}`);
    const nested = db("things").whereIn("id", db("things").select("id").where("size", ">", 10)).andWhere((q) => q.where("size", 11).orWhereNull("name"));
    say(`nested ${await count(nested)}`);
    say(`with ${await count(db.with("few", db("things").where("size", "<", 3)).from("few"))}`);
  },
  async transactions(say) {
    const add = (t, id, name) => t("things").insert({ id, name: `${name} ${mark}` });
    const undo = new Error("undo");
    const undone = (error) => {
      if (error !== undo) throw error;
    };
    await db.transaction(async (t) => {
      await add(t, 200, "undone");
      throw undo;
    }).catch(undone);
    say(`rolled back ${await count(db("things").where("id", 200))}`);
    await db.transaction(async (t) => {
      await add(t, 201, "kept 201");
      await t.transaction(async (s) => {
        await add(s, 202, "undone");
        throw undo;
      }).catch(undone);
      await add(t, 203, "kept 203");
    }, { isolationLevel: "serializable" });
    say(`kept ${await db("things").whereBetween("id", [200, 299]).orderBy("id").pluck("id")}`);
    await db.transaction(async (t) => {
      await add(t, 201, "again").catch(() => {});
      await t.raw("SELECT 1").catch((error) => say(`aborted ${error.code}`));
      throw undo;
    }).catch(undone);
    await db.transaction((t) => t("parts").insert(range(3, (n) => ({ thing_id: 201, label: `part ${n} ${mark}` }))));
    say(`parts ${await count(db("parts").join("things", "things.id", "parts.thing_id"))}`);
    say(`left ${await count(db("things").leftJoin("parts", "things.id", "parts.thing_id").whereNull("parts.id"))}`);
    say(`locked ${await db.transaction((t) => t("things").where("id", 201).forUpdate().skipLocked().pluck("id"))}`);
  },
  async errors(say) {
    for (const [what, sql] of Object.entries(errors)) {
      const error = await db.raw(sql).then(() => ({}), (error) => error);
      say(`${what} ${error.code}`);
      say(`${what} ${error.message} / ${error.constraint} / ${error.position}`);
    }
    say(`after ${(await db.raw("SELECT ?::int AS n", [42])).rows[0].n}`);
  },
  async bulk(say) {
    await db.batchInsert("things", range(1000, (n) => ({ id: 1000 + n, name: `bulk ${n} ${mark}`, size: n })), 300);
    say(`loaded ${await count(db("things").where("id", ">=", 1000))}`);
    say(`sum ${(await db("things").whereBetween("id", [1000, 1999]).sum("size"))[0].sum}`);
    say(`batch ${(await db("things").insert(range(100, (n) => ({ id: 2000 + n, name: `batch ${n} ${mark}`, size: n }))).returning("id")).length}`);
    say(`updated ${await db("things").whereBetween("id", [1000, 1999]).increment("size", 1)}`);
    say(`deleted ${await db("things").where("id", ">=", 2000).delete()}`);
    let seen = 0;
    for await (const _ of db("things").where("id", ">=", 1000).orderBy("id").stream({ batchSize: 70 })) seen++;
    say(`streamed ${seen}`);
    say(`page ${await db("things").where("id", ">=", 1000).orderBy("id").limit(3).offset(5).pluck("id")}`);
    say(`total ${await count(db("things"))}`);
  },
  async introspection(say) {
    const info = await db("things").columnInfo();
    const order = await db("information_schema.columns").where("table_name", "things").orderBy("ordinal_position").pluck("column_name");
    say(`columns ${order}`);
    for (const name of order) say(`column ${name} ${JSON.stringify(info[name])}`);
    const key = await db("information_schema.key_column_usage").where({ table_name: "things", constraint_name: "things_pkey" }).orderBy("ordinal_position").pluck("column_name");
    say(`key ${key}`);
  },
});
