// Prisma over its node-postgres adapter: its client's queries, nested writes, interactive transactions. (Its engine for migrations is not run.)
const { PrismaPg } = require("@prisma/adapter-pg");
const { PrismaClient, Prisma } = require(`${process.env.CACHE}/node/prisma/client`);
const { where, options, mark, values, errors, sayTypes, nulls, range, sum, cause, run, version } = require("./common.cjs");

const db = new PrismaClient({ adapter: new PrismaPg({ ...where, options, max: 3 }) });
const between = (gte, lte) => ({ id: { gte, lte } });
// Prisma has no NULL in lists.
const tags = ["a", 'q"'];

// PostgreSQL's code of an error, wherever Prisma puts it.
function code(error) {
  const inner = error.meta?.driverAdapterError?.cause ?? error.cause ?? error;
  return inner.originalCode ?? inner.code ?? error.code;
}

run(version("@prisma/client"), {
  async connect(say) {
    await db.$connect();
    say(`server ${(await db.$queryRaw`SELECT split_part(version(), ' ', 2) AS v`)[0].v.split(".")[0]}`);
    say(`rows ${await db.things.count()}`);
  },
  async types(say) {
    await db.things.create({ data: { id: 1n, ...values, big: BigInt(values.big), day: new Date(values.day), tags } });
    await db.$executeRaw`UPDATE things SET tags = ARRAY['a', NULL, 'q"'] WHERE id = 1`;
    const { tags: raw } = (await db.$queryRaw`SELECT tags FROM things WHERE id = 1`)[0];
    const row = await db.things.findUnique({ where: { id: 1n }, omit: { tags: true } });
    sayTypes({ ...row, tags: raw });
    await db.things.update({ where: { id: 1n }, data: { tags } });
    say(`list ${(await db.things.findUnique({ where: { id: 1n }, select: { tags: true } })).tags}`);
    await db.$executeRaw`INSERT INTO things (id, name) VALUES (2, ${`types nulls ${mark}`})`;
    const empty = await db.things.findUnique({ where: { id: 2n } });
    say(`nulls ${nulls({ ...empty, tags: null, sizes: null })} ${empty.tags.length}`.replace(/ 0$/, ""));
    say(`json ${await db.things.count({ where: { data: { path: ["a", "0"], equals: 1 } } })} ${await db.things.count({ where: { tags: { has: "a" } } })}`);
  },
  async prepared(say) {
    const made = await Promise.all(range(20, (n) => db.things.create({ data: { id: 100 + n, name: `prepared ${n} ${mark}`, size: n } })));
    say(`inserted ${made.length}`);
    say(`named ${sum(await Promise.all(range(20, async (n) => (await db.things.findUnique({ where: { id: 100 + n } })).size)))}`);
    say(`unnamed ${sum(await Promise.all(range(20, async (n) => (await db.$queryRaw`SELECT size FROM things WHERE id = ${100 + n}`)[0].size)))}`);
    say(`any ${await db.things.count({ where: { id: { in: [1, 100, 119, 9999] } } })}`);
    const merged = await db.things.upsert({ where: { id: 100 }, create: { id: 100, name: `merged ${mark}` }, update: { size: 0 } });
    say(`merged ${merged.name.replace(mark, "")}`);
    const native = await db.things.upsert({ where: { name: `prepared 1 ${mark}` }, create: { id: 101, name: `prepared 1 ${mark}`, size: 9 }, update: { size: 1 } });
    say(`merged by name ${native.size}`);
    const grouped = await db.things.groupBy({ by: ["good"], where: between(100, 119), _count: true, _sum: { size: true }, having: { size: { _sum: { gt: 1 } } } });
    say(`grouped ${JSON.stringify(grouped)}`);
    say(`like ${await db.things.count({ where: { name: { contains: "PREPARED 1", mode: "insensitive" } } })}`);
  },
  async transactions(say) {
    const add = (t, id, name) => t.things.create({ data: { id, name: `${name} ${mark}` } });
    const undo = new Error("undo");
    const undone = (error) => {
      if (error !== undo) throw error;
    };
    await db.$transaction(async (t) => {
      await add(t, 200, "undone");
      throw undo;
    }).catch(undone);
    say(`rolled back ${await db.things.count({ where: { id: 200 } })}`);
    await db.$transaction(async (t) => {
      await add(t, 201, "kept 201");
      await t.$executeRaw`SAVEPOINT s`;
      await add(t, 202, "undone");
      await t.$executeRaw`ROLLBACK TO SAVEPOINT s`;
      await add(t, 203, "kept 203");
    }, { isolationLevel: "Serializable" });
    say(`kept ${(await db.things.findMany({ where: between(200, 299), orderBy: { id: "asc" } })).map((t) => t.id)}`);
    await db.$transaction(async (t) => {
      await t.$executeRaw`INSERT INTO things (id, name) VALUES (201, ${`again ${mark}`})`.catch(() => {});
      await t.$queryRaw`SELECT 1`.catch((error) => say(`aborted ${code(error)}`));
      throw undo;
    }).catch(undone);
    const nested = await db.things.update({ where: { id: 201 }, data: { parts: { create: range(3, (n) => ({ label: `part ${n} ${mark}` })) } }, include: { parts: { orderBy: { label: "asc" } } } });
    say(`nested ${nested.parts.map((p) => p.label.replace(` ${mark}`, ""))}`);
    say(`parts ${await db.parts.count({ where: { thing: { id: 201 } } })}`);
    say(`some ${await db.things.count({ where: { parts: { some: { label: { startsWith: "part 1" } } } } })} ${await db.things.count({ where: { parts: { none: {} } } })}`);
    const [a, b] = await db.$transaction([db.things.count(), db.parts.count()]);
    say(`array ${a} ${b}`);
  },
  async errors(say) {
    for (const [what, sql] of Object.entries(errors)) {
      const error = await db.$executeRawUnsafe(sql).then(() => ({ code: "none" }), (error) => error);
      say(`${what} ${code(error)}`);
      say(`${what} ${error.code} ${error.message.trim().split("\n").pop()}`);
    }
    const error = await db.things.create({ data: { id: 1n, name: "x" } }).catch((e) => e);
    say(`class ${error.code} ${error instanceof Prisma.PrismaClientKnownRequestError}`);
    say(`after ${(await db.$queryRaw`SELECT 42 AS n`)[0].n}`);
  },
  async bulk(say) {
    say(`loaded ${(await db.things.createMany({ data: range(1000, (n) => ({ id: 1000 + n, name: `bulk ${n} ${mark}`, size: n })) })).count}`);
    say(`sum ${(await db.things.aggregate({ where: between(1000, 1999), _sum: { size: true } }))._sum.size}`);
    const batch = await db.things.createManyAndReturn({ data: range(100, (n) => ({ id: 2000 + n, name: `batch ${n} ${mark}`, size: n })), select: { id: true } });
    say(`batch ${batch.length} ${(await db.things.createMany({ data: [{ id: 2000, name: "x" }], skipDuplicates: true })).count}`.replace(/ 0$/, ""));
    say(`updated ${(await db.things.updateMany({ where: between(1000, 1999), data: { size: { increment: 1 } } })).count}`);
    say(`deleted ${(await db.things.deleteMany({ where: { id: { gte: 2000 } } })).count}`);
    let seen = 0;
    for (let cursor, page; (page = await db.things.findMany({ where: { id: { gte: 1000 } }, orderBy: { id: "asc" }, take: 200, ...(cursor && { cursor, skip: 1 }) })).length; cursor = { id: page.at(-1).id }) seen += page.length;
    say(`streamed ${seen}`);
    say(`total ${await db.things.count()}`);
  },
  async introspection(say) {
    // What its introspection asks of columns; the engine that asks it cannot be had here.
    const found = await db.$queryRaw`SELECT oid.namespace, info.table_name, info.column_name, format_type(att.atttypid, att.atttypmod) AS formatted_type, info.numeric_precision, info.data_type, info.udt_schema, info.udt_name, info.is_nullable, info.is_identity
      FROM information_schema.columns info JOIN pg_attribute att ON att.attname = info.column_name
      JOIN (SELECT pg_class.oid, relname, pg_namespace.nspname AS namespace FROM pg_class JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace AND pg_namespace.nspname = ANY (${["public"]})) AS oid
        ON oid.oid = att.attrelid AND relname = info.table_name AND namespace = info.table_schema
      WHERE info.table_name = 'things' ORDER BY namespace, table_name, ordinal_position`;
    say(`columns ${found.map((r) => r.column_name)}`);
    for (const row of found) say(`column ${row.column_name} ${Object.values(row).join(" ")}`);
    const key = await db.$queryRaw`SELECT a.attname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
      WHERE c.conrelid = 'things'::regclass AND c.contype = 'p' ORDER BY a.attnum`;
    say(`key ${key.map((r) => r.attname)}`);
  },
});
