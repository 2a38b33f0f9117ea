// Sequelize: models, associations, bulk writes, upserts, managed transactions, describeTable and its kin.
const { DataTypes: T, Op, Sequelize, Transaction } = require("sequelize");
const { where, options, mark, values, columns, errors, sayTypes, nulls, range, sum, cause, run, version } = require("./common.cjs");

const db = new Sequelize(where.database, where.user, process.env.PGPASSWORD, {
  host: where.host, port: where.port, dialect: "postgres", logging: false, pool: { max: 3 },
  dialectOptions: { options }, define: { timestamps: false },
});
const Thing = db.define("thing", {
  id: { type: T.BIGINT, primaryKey: true }, name: T.TEXT, size: T.INTEGER, big: T.BIGINT, price: T.DECIMAL(9, 2), at: T.DATE, day: T.DATEONLY,
  code: T.UUID, data: T.JSONB, raw: T.BLOB, tags: T.ARRAY(T.TEXT), sizes: T.ARRAY(T.INTEGER), feeling: T.TEXT, good: T.BOOLEAN, ratio: T.DOUBLE,
}, { tableName: "things" });
const Part = db.define("part", { id: { type: T.BIGINT, primaryKey: true, autoIncrement: true }, thing_id: T.BIGINT, label: T.TEXT }, { tableName: "parts" });
Thing.hasMany(Part, { foreignKey: "thing_id" });
Part.belongsTo(Thing, { foreignKey: "thing_id" });
const between = (a, b) => ({ id: { [Op.between]: [a, b] } });

run(version("sequelize"), {
  async connect(say) {
    await db.authenticate();
    say(`server ${(await db.databaseVersion()).split(".")[0]}`);
    say(`rows ${await Thing.count()}`);
  },
  async types(say) {
    // Sequelize's own enums are types that it makes; this one is there, so it is cast.
    await Thing.create({ id: 1, ...values, feeling: db.literal("'happy'::mood") });
    sayTypes((await Thing.findByPk(1)).get({ plain: true }));
    await Thing.create({ id: 2, name: `types nulls ${mark}` });
    say(`nulls ${nulls((await Thing.findByPk(2)).get({ plain: true }))}`);
    say(`json ${await Thing.count({ where: { data: { a: { [Op.not]: null } } } })} ${await Thing.count({ where: { tags: { [Op.contains]: ["a"] } } })}`);
  },
  async prepared(say) {
    const made = await Promise.all(range(20, (n) => Thing.create({ id: 100 + n, name: `prepared ${n} ${mark}`, size: n })));
    say(`inserted ${made.length}`);
    const bound = (n) => db.query("SELECT size FROM things WHERE id = $1", { bind: [100 + n], type: "SELECT" }).then((rows) => rows[0].size);
    say(`named ${sum(await Promise.all(range(20, bound)))}`);
    say(`unnamed ${sum((await Promise.all(range(20, (n) => Thing.findByPk(100 + n, { attributes: ["size"] })))).map((t) => t.size))}`);
    say(`any ${await Thing.count({ where: { id: [1, 100, 119, 9999] } })}`);
    const [again, isNew] = await Thing.findOrCreate({ where: { id: 100 }, defaults: { name: `never ${mark}` } });
    say(`found ${again.name.replace(mark, "")} ${isNew}`);
    const [merged] = await Thing.upsert({ id: 101, name: `merged ${mark}`, size: 1 });
    say(`merged ${merged.name.replace(mark, "")} ${await Thing.count({ where: between(100, 119) })}`);
    const grouped = await Thing.findAll({ attributes: [[db.literal("size % 2"), "odd"], [db.fn("count", "*"), "n"]], where: between(100, 119), group: ["odd"], order: ["odd"], raw: true });
    say(`grouped ${JSON.stringify(grouped)}`);
  },
  async transactions(say) {
    const add = (transaction, id, name) => Thing.create({ id, name: `${name} ${mark}` }, { transaction });
    const undo = new Error("undo");
    const undone = (error) => {
      if (error !== undo) throw error;
    };
    await db.transaction(async (t) => {
      await add(t, 200, "undone");
      throw undo;
    }).catch(undone);
    say(`rolled back ${await Thing.count({ where: { id: 200 } })}`);
    await db.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.REPEATABLE_READ }, async (t) => {
      await add(t, 201, "kept 201");
      await db.transaction({ transaction: t }, async (s) => {
        await add(s, 202, "undone");
        throw undo;
      }).catch(undone);
      await add(t, 203, "kept 203");
    });
    say(`kept ${(await Thing.findAll({ where: between(200, 299), order: ["id"] })).map((t) => t.id)}`);
    await db.transaction(async (transaction) => {
      await add(transaction, 201, "again").catch(() => {});
      await db.query("SELECT 1", { transaction }).catch((error) => say(`aborted ${cause(error).code}`));
      throw undo;
    }).catch(undone);
    await db.transaction((transaction) => Part.bulkCreate(range(3, (n) => ({ thing_id: 201, label: `part ${n} ${mark}` })), { transaction }));
    say(`parts ${await Part.count({ include: { model: Thing, required: true } })}`);
    const eager = await Thing.findByPk(201, { include: Part, order: [[Part, "label"]] });
    say(`eager ${eager.parts.map((p) => p.label.replace(mark, ""))}`);
    say(`separate ${(await Thing.findByPk(201, { include: { model: Part, separate: true, limit: 2, order: ["label"] } })).parts.length}`);
    say(`locked ${(await db.transaction((transaction) => Thing.findByPk(201, { transaction, lock: true }))).id}`);
  },
  async errors(say) {
    for (const [what, sql] of Object.entries(errors)) {
      const error = await db.query(sql).then(() => ({ code: "none" }), cause);
      say(`${what} ${error.code}`);
      say(`${what} ${error.message} / ${error.constraint} / ${error.position}`);
    }
    const error = await Thing.create({ id: 1, name: "x" }).catch((e) => e);
    say(`class ${error.name} ${error.parent.constraint}`);
    say(`after ${(await db.query("SELECT 42 AS n", { type: "SELECT" }))[0].n}`);
  },
  async bulk(say) {
    say(`loaded ${(await Thing.bulkCreate(range(1000, (n) => ({ id: 1000 + n, name: `bulk ${n} ${mark}`, size: n })))).length}`);
    say(`sum ${await Thing.sum("size", { where: between(1000, 1999) })}`);
    const batch = range(100, (n) => ({ id: 2000 + n, name: `batch ${n} ${mark}`, size: n }));
    await Thing.bulkCreate(batch, { updateOnDuplicate: ["size"] });
    say(`batch ${(await Thing.bulkCreate(batch.slice(0, 10), { ignoreDuplicates: true })).length + await Thing.count({ where: { id: { [Op.gte]: 2010 } } })}`);
    say(`updated ${(await Thing.update({ size: db.literal("size + 1") }, { where: between(1000, 1999) }))[0]}`);
    say(`deleted ${await Thing.destroy({ where: { id: { [Op.gte]: 2000 } } })}`);
    let seen = 0;
    for (let offset = 0, page; (page = await Thing.findAll({ where: { id: { [Op.gte]: 1000 } }, order: ["id"], limit: 70, offset })).length; offset += 70) seen += page.length;
    say(`streamed ${seen}`);
    const { count, rows } = await Thing.findAndCountAll({ limit: 2, order: ["id"] });
    say(`page ${count} ${rows.map((r) => r.id)}`);
    say(`total ${await Thing.count()}`);
  },
  async introspection(say) {
    const inspector = db.getQueryInterface();
    say(`tables ${(await inspector.showAllTables()).map((t) => t.tableName ?? t).sort()}`);
    const described = await inspector.describeTable("things");
    say(`columns ${Object.keys(described)}`);
    for (const [name, column] of Object.entries(described)) say(`column ${name} ${JSON.stringify(column)}`);
    say(`key ${Object.keys(described).filter((name) => described[name].primaryKey)}`);
    for (const index of await inspector.showIndex("things")) say(`index ${index.name} ${index.unique} ${index.fields.map((f) => f.attribute)}`);
    for (const f of await inspector.getForeignKeyReferencesForTable("parts")) say(`reference ${f.constraintName} ${f.columnName} ${f.referencedTableName}.${f.referencedColumnName}`);
  },
});
