// Drizzle over node-postgres: typed tables, prepared statements, relational queries, nested transactions.
const { Pool } = require("pg");
const { drizzle } = require("drizzle-orm/node-postgres");
const { between, count, eq, gte, inArray, relations, sql, sum: total } = require("drizzle-orm");
const t = require("drizzle-orm/pg-core");
const { where, options, mark, values, errors, sayTypes, nulls, range, sum, cause, run, version } = require("./common.cjs");

const bytea = t.customType({ dataType: () => "bytea" });
const mood = t.pgEnum("mood", ["sad", "ok", "happy"]);
const things = t.pgTable("things", {
  id: t.bigint({ mode: "number" }).primaryKey(), name: t.text().notNull(), size: t.integer(), big: t.bigint({ mode: "bigint" }), price: t.numeric({ precision: 9, scale: 2 }),
  at: t.timestamp({ withTimezone: true }), day: t.date(), code: t.uuid(), data: t.jsonb(), raw: bytea(), tags: t.text().array(), sizes: t.integer().array(),
  feeling: mood(), good: t.boolean(), ratio: t.doublePrecision(),
});
const parts = t.pgTable("parts", { id: t.bigint({ mode: "number" }).generatedByDefaultAsIdentity().primaryKey(), thing_id: t.bigint({ mode: "number" }).references(() => things.id), label: t.text() });
const schema = {
  things, parts,
  thingsRelations: relations(things, ({ many }) => ({ parts: many(parts) })),
  partsRelations: relations(parts, ({ one }) => ({ thing: one(things, { fields: [parts.thing_id], references: [things.id] }) })),
};
const pool = new Pool({ ...where, options, max: 3 });
const db = drizzle(pool, { schema });
const only = async (query) => Object.values((await query)[0])[0];

run(version("drizzle-orm"), {
  async connect(say) {
    say(`server ${(await db.execute(sql`SHOW server_version`)).rows[0].server_version.split(".")[0]}`);
    say(`rows ${await db.$count(things)}`);
  },
  async types(say) {
    await db.insert(things).values({ id: 1, ...values, big: BigInt(values.big) });
    sayTypes(await db.query.things.findFirst({ where: eq(things.id, 1) }));
    await db.insert(things).values({ id: 2, name: `types nulls ${mark}` });
    say(`nulls ${nulls((await db.select().from(things).where(eq(things.id, 2)))[0])}`);
  },
  async prepared(say) {
    const add = db.insert(things).values({ id: sql.placeholder("id"), name: sql.placeholder("name"), size: sql.placeholder("size") }).prepare("add");
    say(`inserted ${sum((await Promise.all(range(20, (n) => add.execute({ id: 100 + n, name: `prepared ${n} ${mark}`, size: n })))).map((r) => r.rowCount))}`);
    const bySize = db.select({ size: things.size }).from(things).where(eq(things.id, sql.placeholder("id"))).prepare("by_id");
    say(`named ${sum(await Promise.all(range(20, (n) => only(bySize.execute({ id: 100 + n })))))}`);
    say(`unnamed ${sum(await Promise.all(range(20, (n) => only(db.select({ size: things.size }).from(things).where(eq(things.id, 100 + n))))))}`);
    say(`any ${await db.$count(things, inArray(things.id, [1, 100, 119, 9999]))}`);
    const [merged] = await db.insert(things).values({ id: 100, name: `merged ${mark}`, size: 0 }).onConflictDoUpdate({ target: things.id, set: { size: sql`excluded.size` } }).returning();
    say(`merged ${merged.id} ${merged.name.replace(mark, "")}`);
    const grouped = await db.select({ odd: sql`${things.size} % 2`, n: count() }).from(things).where(between(things.id, 100, 119)).groupBy(sql`1`).orderBy(sql`1`);
    say(`grouped ${JSON.stringify(grouped)}`);
    const few = db.$with("few").as(db.select().from(things).where(between(things.size, 0, 4)));
    say(`with ${await only(db.with(few).select({ n: count() }).from(few))}`);
  },
  async transactions(say) {
    const add = (x, id, name) => x.insert(things).values({ id, name: `${name} ${mark}` });
    await db.transaction(async (x) => {
      await add(x, 200, "undone");
      x.rollback();
    }).catch(() => {});
    say(`rolled back ${await db.$count(things, eq(things.id, 200))}`);
    await db.transaction(async (x) => {
      await add(x, 201, "kept 201");
      await x.transaction(async (s) => {
        await add(s, 202, "undone");
        s.rollback();
      }).catch(() => {});
      await add(x, 203, "kept 203");
    }, { isolationLevel: "repeatable read", accessMode: "read write" });
    say(`kept ${(await db.select({ id: things.id }).from(things).where(between(things.id, 200, 299)).orderBy(things.id)).map((r) => r.id)}`);
    await db.transaction(async (x) => {
      await add(x, 201, "again").catch(() => {});
      await x.execute(sql`SELECT 1`).catch((error) => say(`aborted ${cause(error).code}`));
      x.rollback();
    }).catch(() => {});
    await db.insert(parts).values(range(3, (n) => ({ thing_id: 201, label: `part ${n} ${mark}` })));
    say(`parts ${await only(db.select({ n: count() }).from(parts).innerJoin(things, eq(things.id, parts.thing_id)))}`);
    const eager = await db.query.things.findFirst({ where: eq(things.id, 201), columns: { id: true }, with: { parts: { columns: { label: true }, orderBy: parts.label } } });
    say(`eager ${JSON.stringify(eager).replaceAll(` ${mark}`, "")}`);
    say(`locked ${(await db.transaction((x) => x.select({ id: things.id }).from(things).where(eq(things.id, 201)).for("update")))[0].id}`);
  },
  async errors(say) {
    for (const [what, text] of Object.entries(errors)) {
      const error = await db.execute(sql.raw(text)).then(() => ({ code: "none" }), cause);
      say(`${what} ${error.code}`);
      say(`${what} ${error.message} / ${error.constraint} / ${error.position}`);
    }
    say(`after ${(await db.execute(sql`SELECT ${42}::int AS n`)).rows[0].n}`);
  },
  async bulk(say) {
    say(`loaded ${(await db.insert(things).values(range(1000, (n) => ({ id: 1000 + n, name: `bulk ${n} ${mark}`, size: n })))).rowCount}`);
    say(`sum ${await only(db.select({ n: total(things.size) }).from(things).where(between(things.id, 1000, 1999)))}`);
    const batch = await db.insert(things).values(range(100, (n) => ({ id: 2000 + n, name: `batch ${n} ${mark}`, size: n }))).onConflictDoNothing().returning({ id: things.id });
    say(`batch ${batch.length}`);
    say(`updated ${(await db.update(things).set({ size: sql`${things.size} + 1` }).where(between(things.id, 1000, 1999))).rowCount}`);
    say(`deleted ${(await db.delete(things).where(gte(things.id, 2000)).returning({ id: things.id })).length}`);
    let seen = 0;
    for (let after = 999, page; (page = await db.select({ id: things.id }).from(things).where(sql`${things.id} > ${after}`).orderBy(things.id).limit(70)).length; after = page.at(-1).id) seen += page.length;
    say(`streamed ${seen}`);
    say(`total ${await db.$count(things)}`);
  },
  async introspection(say) {
    // What its migration tool asks first; the rest of that tool writes DDL.
    const found = await db.execute(sql`SELECT a.attname AS column_name, format_type(a.atttypid, a.atttypmod) AS data_type, a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid) AS column_default
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE n.nspname = 'public' AND c.relname = 'things' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`);
    say(`columns ${found.rows.map((r) => r.column_name)}`);
    for (const row of found.rows) say(`column ${Object.values(row).join(" ")}`);
    const enums = await db.execute(sql`SELECT n.nspname, t.typname, e.enumlabel FROM pg_type t JOIN pg_enum e ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace ORDER BY 1, 2, e.enumsortorder`);
    say(`enum ${enums.rows.map((r) => r.enumlabel)}`);
    const key = await db.execute(sql`SELECT k.column_name FROM information_schema.table_constraints c JOIN information_schema.key_column_usage k ON k.constraint_name = c.constraint_name AND k.table_schema = c.table_schema
      WHERE c.table_name = ${"things"} AND c.constraint_type = 'PRIMARY KEY' ORDER BY k.ordinal_position`);
    say(`key ${key.rows.map((r) => r.column_name)}`);
  },
});
