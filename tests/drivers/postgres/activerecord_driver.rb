# ActiveRecord: models, associations, insert_all and upsert_all, nested transactions, batches, and what Rails' schema dumper reads.
require_relative "common"
require "bigdecimal"
require "active_record"

ActiveRecord::Base.establish_connection(adapter: "postgresql", database: ENV["PGDATABASE"], username: ENV["PGUSER"], pool: 3, **WHERE)
class Thing < ActiveRecord::Base
  has_many :parts
end
class Part < ActiveRecord::Base
  belongs_to :thing
end
def db = ActiveRecord::Base.connection
def state(error) = error.cause.result.error_field(PG::PG_DIAG_SQLSTATE)

connect = lambda do
  say("connect", "server #{db.database_version / 10000}")
  say("connect", "rows #{Thing.count}")
  say("connect", "#{db.active?} #{db.current_database} #{db.current_schema} #{db.encoding}")
end

types = lambda do
  Thing.create!(id: 1, size: 2147483647, big: -9007199254740991, price: BigDecimal("12.50"), name: "#{TEXT} #{MARK}", raw: "\x00\xff\\'".b, at: Time.utc(2024, 2, 29, 12, 30),
                day: Date.new(2024, 2, 29), code: "00000000-0000-0000-0000-000000000007", data: { a: [1, nil] }, tags: ["a", nil, 'q"'], sizes: [1, 2, 3],
                feeling: "happy", good: true, ratio: 0.1)
  say_types(Thing.find(1).attributes.symbolize_keys)
  Thing.create!(id: 2, name: "types nulls #{MARK}")
  say("types", "nulls #{NAMES.keys.count { |c| Thing.find(2)[c].nil? }}")
  say("types", "found #{Thing.where("data @> ?", '{"a": [1]}').count} #{Thing.where("'a' = ANY(tags)").count} #{Thing.where(good: true, day: Date.new(2024, 2, 29)).count}")
end

prepared = lambda do
  say("prepared", "inserted #{20.times.count { |n| Thing.create!(id: 100 + n, name: "prepared #{n} #{MARK}", size: n) }}")
  say("prepared", "named #{20.times.sum { |n| Thing.find(100 + n).size }}")
  say("prepared", "unnamed #{20.times.sum { |n| db.select_value("SELECT size FROM things WHERE id = #{100 + n}") }}")
  say("prepared", "any #{Thing.where(id: [1, 100, 119, 9999]).count}")
  some = Thing.where(id: 100..119)
  say("prepared", "grouped #{some.group("size % 2").sum(:size).sort}")
  say("prepared", "plucked #{some.order(size: :desc).limit(2).offset(1).pluck(:id, :size)}")
  say("prepared", "either #{some.where(size: ..2).or(some.where.not(size: ...18)).count} #{some.exists?(size: 3)}")
  merged = Thing.upsert_all([{ id: 100, name: "merged #{MARK}" }], unique_by: :id, returning: %w[name])
  say("prepared", "merged #{merged.rows}")
  say("prepared", "found #{Thing.find_or_create_by!(id: 100).name} #{Thing.create_with(size: 9).find_or_create_by!(id: 101).size}")
end

transactions = lambda do
  add = ->(id, name) { Thing.create!(id:, name: "#{name} #{MARK}") }
  Thing.transaction { add.(200, "undone"); raise ActiveRecord::Rollback }
  say("transactions", "rolled back #{Thing.where(id: 200).count}")
  Thing.transaction(isolation: :serializable) do
    add.(201, "kept 201")
    Thing.transaction(requires_new: true) { add.(202, "undone"); raise ActiveRecord::Rollback }
    add.(203, "kept 203")
  end
  say("transactions", "kept #{Thing.where(id: 200..299).order(:id).ids.join(",")}")
  Thing.transaction do
    Thing.insert!({ id: 201, name: "again #{MARK}" })
  rescue ActiveRecord::RecordNotUnique
    begin
      db.execute("SELECT 1")
    rescue ActiveRecord::StatementInvalid => e
      say("transactions", "aborted #{state(e)}")
    end
    raise ActiveRecord::Rollback
  end
  Thing.find(201).parts.create!(3.times.map { |n| { label: "part #{n} #{MARK}" } })
  say("transactions", "parts #{Part.joins(:thing).count}")
  say("transactions", "eager #{Thing.includes(:parts).where(id: 201..203).order(:id).map { |t| t.parts.map(&:label).sort }}")
  say("transactions", "outer #{Thing.eager_load(:parts).where(parts: { label: "part 1 #{MARK}" }).ids} #{Thing.left_joins(:parts).where(parts: { id: nil }).count}")
  say("transactions", "locked #{Thing.transaction { Thing.lock.find(201).id }}")
  say("transactions", "advisory #{db.get_advisory_lock(42)} #{db.release_advisory_lock(42)}")
end

errors = lambda do
  ERRORS.each do |what, sql|
    db.execute(sql)
  rescue ActiveRecord::StatementInvalid => e
    say("errors", "#{what} #{state(e)}")
    say("errors", "#{what} #{e.class} #{e.message.lines.first.chomp}")
  end
  say("errors", "after #{db.select_value("SELECT 42")}")
end

bulk = lambda do
  say("bulk", "loaded #{Thing.insert_all!(1000.times.map { |n| { id: 1000 + n, name: "bulk #{n} #{MARK}", size: n } }).length}")
  loaded = Thing.where(id: 1000..1999)
  say("bulk", "sum #{loaded.sum(:size)}")
  batch = 100.times.map { |n| { id: 2000 + n, name: "batch #{n} #{MARK}", size: n } }
  say("bulk", "batch #{Thing.insert_all(batch).length + Thing.insert_all(batch.first(10)).length}")
  say("bulk", "updated #{loaded.update_all("size = size + 1")}")
  say("bulk", "deleted #{Thing.where("id >= ?", 2000).delete_all}")
  say("bulk", "streamed #{loaded.find_each(batch_size: 70).sum { 1 }}")
  say("bulk", "total #{Thing.count}")
end

introspection = lambda do
  say("introspection", "tables #{db.tables.sort} #{db.table_exists?("nowhere")}")
  columns = db.columns("things")
  say("introspection", "columns #{columns.map(&:name).join(",")}")
  columns.each { |c| say("introspection", "column #{c.name} #{c.sql_type} #{c.type} #{c.null} #{c.default.inspect} #{c.limit} #{c.precision}") }
  say("introspection", "key #{db.primary_keys("things").reject { |c| c == "tenant_id" }.join(",")}")
  %w[things parts].each do |table|
    db.indexes(table).sort_by(&:name).each { |i| say("introspection", "index #{i.name} #{i.unique} #{i.columns.join(", ")}") }
    db.check_constraints(table).each { |c| say("introspection", "check #{c.name} #{c.expression}") }
    db.foreign_keys(table).each { |f| say("introspection", "foreign #{f.name} #{f.to_table} #{f.column} #{f.primary_key}") }
  end
  say("introspection", "enums #{db.enum_types}") if db.respond_to?(:enum_types)
  say("introspection", "pk and sequence #{db.pk_and_sequence_for("parts").join(" ")}")
  require "stringio"
  out = StringIO.new
  ActiveRecord::SchemaDumper.dump(db, out)
  say("introspection", "dump #{out.string.gsub(/\s+/, " ")}")
end

run(ActiveRecord.version, connect:, types:, prepared:, transactions:, errors:, bulk:, introspection:)
