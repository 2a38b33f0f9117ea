// TypeORM: entity schemas, repositories, the query builder, transactions, and the schema that a query runner loads.
require("reflect-metadata");
const { Between, DataSource, EntitySchema, In, MoreThanOrEqual } = require("typeorm");
const { where, options, mark, values, errors, sayTypes, nulls, range, sum, cause, run, version } = require("./common.cjs");

const Thing = new EntitySchema({
  name: "Thing", tableName: "things",
  columns: {
    id: { type: "bigint", primary: true }, name: { type: "text" }, size: { type: "int", nullable: true }, big: { type: "bigint", nullable: true },
    price: { type: "numeric", precision: 9, scale: 2, nullable: true }, at: { type: "timestamptz", nullable: true }, day: { type: "date", nullable: true },
    code: { type: "uuid", nullable: true }, data: { type: "jsonb", nullable: true }, raw: { type: "bytea", nullable: true },
    tags: { type: "text", array: true, nullable: true }, sizes: { type: "int", array: true, nullable: true },
    feeling: { type: "enum", enum: ["sad", "ok", "happy"], enumName: "mood", nullable: true }, good: { type: "boolean", nullable: true },
    ratio: { type: "double precision", nullable: true },
  },
  relations: { parts: { type: "one-to-many", target: "Part", inverseSide: "thing" } },
});
const Part = new EntitySchema({
  name: "Part", tableName: "parts",
  columns: { id: { type: "bigint", primary: true, generated: true }, label: { type: "text" } },
  relations: { thing: { type: "many-to-one", target: "Thing", joinColumn: { name: "thing_id" }, inverseSide: "parts" } },
});
const source = new DataSource({
  type: "postgres", host: where.host, port: where.port, username: where.user, password: process.env.PGPASSWORD, database: where.database,
  entities: [Thing, Part], synchronize: false, logging: false, installExtensions: false, extra: { options, max: 3 },
});

run(version("typeorm"), {
  async connect(say) {
    await source.initialize();
    say(`server ${(await source.query("SHOW server_version"))[0].server_version.split(".")[0]}`);
    say(`rows ${await source.getRepository(Thing).count()}`);
  },
  async types(say) {
    const things = source.getRepository(Thing);
    await things.insert({ id: 1, ...values });
    sayTypes(await things.findOneBy({ id: 1 }));
    await things.insert({ id: 2, name: `types nulls ${mark}` });
    say(`nulls ${nulls(await things.findOneBy({ id: 2 }))}`);
  },
  async prepared(say) {
    const things = source.getRepository(Thing);
    const made = await Promise.all(range(20, (n) => things.insert({ id: 100 + n, name: `prepared ${n} ${mark}`, size: n })));
    say(`inserted ${made.length}`);
    const size = (n) => things.createQueryBuilder("t").where("t.id = :id", { id: 100 + n }).getOne().then((t) => t.size);
    say(`named ${sum(await Promise.all(range(20, size)))}`);
    say(`unnamed ${sum((await Promise.all(range(20, (n) => source.query("SELECT size FROM things WHERE id = $1", [100 + n])))).map((r) => r[0].size))}`);
    say(`any ${await things.countBy({ id: In([1, 100, 119, 9999]) })}`);
    await things.upsert({ id: 100, name: `merged ${mark}`, size: 0 }, ["id"]);
    const saved = await things.save({ id: "101", name: `saved ${mark}`, size: 1 }); // reads first, then updates
    say(`saved ${saved.id} ${await things.countBy({ id: Between(100, 119) })}`);
    const grouped = await things.createQueryBuilder("t").select("t.size % 2", "odd").addSelect("count(*)", "n").where({ id: Between(100, 119) }).groupBy("1").orderBy("1").getRawMany();
    say(`grouped ${JSON.stringify(grouped)}`);
  },
  async transactions(say) {
    const things = source.getRepository(Thing);
    const undo = new Error("undo");
    const undone = (error) => {
      if (error !== undo) throw error;
    };
    const add = (m, id, name) => m.insert(Thing, { id, name: `${name} ${mark}` });
    await source.transaction(async (m) => {
      await add(m, 200, "undone");
      throw undo;
    }).catch(undone);
    say(`rolled back ${await things.countBy({ id: 200 })}`);
    await source.transaction("SERIALIZABLE", async (m) => {
      await add(m, 201, "kept 201");
      await m.transaction(async (s) => {
        await add(s, 202, "undone");
        throw undo;
      }).catch(undone);
      await add(m, 203, "kept 203");
    });
    say(`kept ${(await things.find({ where: { id: Between(200, 299) }, order: { id: "ASC" } })).map((t) => t.id)}`);
    await source.transaction(async (m) => {
      await add(m, 201, "again").catch(() => {});
      await m.query("SELECT 1").catch((error) => say(`aborted ${cause(error).code}`));
      throw undo;
    }).catch(undone);
    const parts = source.getRepository(Part);
    const saved = await parts.save(range(3, (n) => ({ thing: { id: 201 }, label: `part ${n} ${mark}` })));
    say(`ids ${saved.every((p) => Number(p.id) > 0)}`);
    say(`parts ${await parts.createQueryBuilder("p").innerJoin("p.thing", "t").getCount()}`);
    const eager = await things.findOne({ where: { id: 201 }, relations: { parts: true }, order: { parts: { label: "ASC" } } });
    say(`eager ${eager.parts.map((p) => p.label.replace(mark, ""))}`);
    const [page, count] = await things.findAndCount({ relations: { parts: true }, where: { id: Between(200, 299) }, order: { id: "ASC" }, take: 1 });
    say(`page ${count} ${page.map((t) => t.id)}`);
    const locked = await source.transaction((m) => m.findOne(Thing, { where: { id: 201 }, lock: { mode: "pessimistic_write" } }));
    say(`locked ${locked.id}`);
  },
  async errors(say) {
    for (const [what, sql] of Object.entries(errors)) {
      const error = await source.query(sql).then(() => ({ code: "none" }), cause);
      say(`${what} ${error.code}`);
      say(`${what} ${error.message} / ${error.constraint} / ${error.position}`);
    }
    say(`after ${(await source.query("SELECT 42 AS n"))[0].n}`);
  },
  async bulk(say) {
    const things = source.getRepository(Thing);
    const made = await things.insert(range(1000, (n) => ({ id: 1000 + n, name: `bulk ${n} ${mark}`, size: n })));
    say(`loaded ${made.identifiers.length}`);
    say(`sum ${await things.sum("size", { id: Between(1000, 1999) })}`);
    const batch = await things.save(range(100, (n) => ({ id: 2000 + n, name: `batch ${n} ${mark}`, size: n })), { chunk: 30 });
    say(`batch ${batch.length}`);
    say(`updated ${(await things.increment({ id: Between(1000, 1999) }, "size", 1)).affected}`);
    say(`deleted ${(await things.delete({ id: MoreThanOrEqual(2000) })).affected}`);
    const stream = await things.createQueryBuilder("t").where("t.id >= 1000").orderBy("t.id").stream();
    let seen = 0;
    for await (const _ of stream) seen++;
    say(`streamed ${seen}`);
    say(`total ${await things.count()}`);
  },
  async introspection(say) {
    const runner = source.createQueryRunner();
    say(`database ${await runner.getCurrentSchema()} ${await runner.hasTable("things")} ${await runner.hasColumn("things", "price")} ${await runner.hasTable("nowhere")}`);
    const table = await runner.getTable("things");
    say(`columns ${table.columns.map((c) => c.name)}`);
    for (const c of table.columns) say(`column ${c.name} ${c.type} ${c.isNullable} ${c.isArray} ${c.precision} ${c.scale} ${c.default} ${c.enumName} ${c.enum}`);
    say(`key ${table.primaryColumns.map((c) => c.name)}`);
    for (const u of table.uniques) say(`unique ${u.name} ${u.columnNames.sort()}`);
    for (const c of table.checks) say(`check ${c.name} ${c.expression}`);
    const parts = await runner.getTable("parts");
    for (const f of parts.foreignKeys) say(`reference ${f.name} ${f.columnNames.sort()} ${f.referencedTableName.split(".").pop()} ${f.referencedColumnNames.sort()}`);
    for (const i of parts.indices) say(`index ${i.name} ${i.columnNames}`);
    await runner.release();
  },
});
