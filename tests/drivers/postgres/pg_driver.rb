# Ruby's pg: libpq with type maps, named statements, COPY coders, single-row mode.
require_relative "common"
require "pg"
require "time"

def open
  connection = PG.connect(**WHERE, dbname: ENV["PGDATABASE"], user: ENV["PGUSER"])
  connection.type_map_for_results = PG::BasicTypeMapForResults.new(connection)
  connection
end
def one(connection, sql, values = []) = connection.exec_params(sql, values).getvalue(0, 0)
INSERT = "INSERT INTO things (id, name, size) VALUES ($1, $2, $3)"

connect = lambda do
  connection = open
  say("connect", "server #{connection.server_version / 10000}")
  say("connect", "rows #{one(connection, "SELECT count(*) FROM things")}")
  say("connect", "#{connection.parameter_status("server_encoding")} #{connection.get_client_encoding} #{connection.transaction_status}")
  connection.reset
  say("connect", "again #{one(connection, "SELECT count(*) FROM things")}")
  connection.finish
end

types = lambda do
  connection = open
  connection.type_map_for_queries = PG::BasicTypeMapForQueries.new(connection)
  values = [2147483647, -9007199254740991, "12.50", "#{TEXT} #{MARK}", PG::BasicTypeMapForQueries::BinaryData.new("\x00\xff\\'".b), Time.utc(2024, 2, 29, 12, 30),
            "2024-02-29", "00000000-0000-0000-0000-000000000007", '{"a": [1, null]}', ["a", nil, 'q"'], [1, 2, 3], "happy", true, 0.1]
  slots = (1..values.size).map { |n| "$#{n}" }.join(", ").sub("$6", "$6::timestamptz")
  connection.exec_params("INSERT INTO things (id, #{NAMES.keys.join(", ")}) VALUES (1, #{slots})", values)
  result = connection.exec_params("SELECT #{NAMES.keys.join(", ")} FROM things WHERE id = $1", [1])
  say("types", "oids #{result.nfields.times.map { |n| result.ftype(n) < 10000 ? result.ftype(n) : "own" }.join(",")} #{result.ftable(0) > 0}")
  say_types(result[0].transform_keys(&:to_sym))
  connection.exec_params("INSERT INTO things (id, name, size) VALUES (2, $1, $2)", ["types nulls #{MARK}", nil])
  say("types", "nulls #{connection.exec("SELECT #{NAMES.keys.join(", ")} FROM things WHERE id = 2")[0].values.count(&:nil?)}")
  binary = connection.exec_params("SELECT size, big, raw, good, ratio FROM things WHERE id = 1", [], 1)
  say("types", "binary #{binary.values[0].map { |v| v.is_a?(String) ? v.unpack1("H*") : v }}")
end

prepared = lambda do
  connection = open
  connection.prepare("ins", INSERT)
  made = 20.times.sum { |n| connection.exec_prepared("ins", [100 + n, "prepared #{n} #{MARK}", n]).cmd_tuples }
  say("prepared", "inserted #{made}")
  connection.prepare("sel", "SELECT size FROM things WHERE id = $1")
  described = connection.describe_prepared("sel")
  say("prepared", "described #{described.nparams} #{described.paramtype(0)} #{described.fname(0)} #{described.ftype(0)}")
  say("prepared", "named #{20.times.sum { |n| connection.exec_prepared("sel", [100 + n]).getvalue(0, 0) }}")
  say("prepared", "unnamed #{20.times.sum { |n| one(connection, "SELECT size FROM things WHERE id = $1", [100 + n]) }}")
  say("prepared", "any #{one(connection, "SELECT count(*) FROM things WHERE id = ANY($1)", ["{1,100,119,9999}"])}")
  connection.enter_pipeline_mode
  3.times { |n| connection.send_query_params("SELECT size FROM things WHERE id = $1", [110 + n]) }
  connection.pipeline_sync
  sizes = 3.times.map { connection.get_result.getvalue(0, 0).tap { connection.get_result } }
  connection.get_result
  connection.exit_pipeline_mode
  say("prepared", "pipeline #{sizes.join(",")}")
end

transactions = lambda do
  connection = open
  add = ->(id, name) { connection.exec_params("INSERT INTO things (id, name) VALUES ($1, $2)", [id, "#{name} #{MARK}"]) }
  undo = Class.new(StandardError)
  begin
    connection.transaction { add.(200, "undone"); raise undo }
  rescue undo
    say("transactions", "rolled back #{one(connection, "SELECT count(*) FROM things WHERE id = 200")}")
  end
  connection.transaction do
    add.(201, "kept 201")
    connection.exec("SAVEPOINT s")
    add.(202, "undone")
    connection.exec("ROLLBACK TO SAVEPOINT s")
    add.(203, "kept 203")
  end
  say("transactions", "kept #{connection.exec("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id").column_values(0).join(",")}")
  connection.exec("BEGIN")
  begin
    add.(201, "again")
  rescue PG::UniqueViolation
    begin
      connection.exec("SELECT 1")
    rescue PG::InFailedSqlTransaction => e
      say("transactions", "aborted #{e.result.error_field(PG::PG_DIAG_SQLSTATE)}")
    end
  end
  connection.exec("ROLLBACK")
  connection.transaction { 3.times { |n| one(connection, "INSERT INTO parts (thing_id, label) VALUES (201, $1) RETURNING id", ["part #{n} #{MARK}"]) } }
  say("transactions", "parts #{one(connection, "SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id")}")
end

errors = lambda do
  connection = open
  ERRORS.each do |what, sql|
    [-> { connection.exec(sql) }, -> { connection.exec_params(sql, []) }].each do |ask|
      ask.call
      raise "#{what} went through"
    rescue PG::ServerError => e
      field = ->(f) { e.result.error_field(f) }
      say("errors", "#{what} #{field.(PG::PG_DIAG_SQLSTATE)}")
      say("errors", "#{what} #{e.class} #{field.(PG::PG_DIAG_MESSAGE_PRIMARY)} / #{field.(PG::PG_DIAG_CONSTRAINT_NAME)} / #{field.(PG::PG_DIAG_STATEMENT_POSITION)}")
    end
  end
  say("errors", "after #{one(connection, "SELECT 42")}")
end

bulk = lambda do
  connection = open
  loaded = connection.copy_data("COPY things (id, name, size) FROM STDIN", PG::TextEncoder::CopyRow.new) do
    1000.times { |n| connection.put_copy_data([(1000 + n).to_s, "bulk #{n} #{MARK}", n.to_s]) }
  end
  say("bulk", "loaded #{loaded.cmd_tuples}")
  say("bulk", "sum #{one(connection, "SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999")}")
  slots = 100.times.map { |n| "($#{3 * n + 1}, $#{3 * n + 2}, $#{3 * n + 3})" }.join(", ")
  batch = connection.exec_params("INSERT INTO things (id, name, size) VALUES #{slots}", 100.times.flat_map { |n| [2000 + n, "batch #{n} #{MARK}", n] })
  say("bulk", "batch #{batch.cmd_tuples}")
  say("bulk", "updated #{connection.exec("UPDATE things SET size = size + 1 WHERE id BETWEEN 1000 AND 1999").cmd_tuples}")
  say("bulk", "deleted #{connection.exec("DELETE FROM things WHERE id >= 2000").cmd_tuples}")
  out = 0
  connection.copy_data("COPY (SELECT id, name FROM things WHERE id >= 1000 ORDER BY id) TO STDOUT", PG::TextDecoder::CopyRow.new) do
    out += 1 while connection.get_copy_data
  end
  say("bulk", "out #{out}")
  seen = 0
  connection.send_query("SELECT id FROM things WHERE id >= 1000")
  connection.set_single_row_mode
  connection.get_result.stream_each { seen += 1 }
  connection.get_last_result
  say("bulk", "streamed #{seen}")
  say("bulk", "total #{one(connection, "SELECT count(*) FROM things")}")
end

introspection = lambda do
  connection = open
  found = connection.exec_params("SELECT column_name, udt_name, is_nullable FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position", ["things"]).values
  say("introspection", "columns #{found.map(&:first).join(",")}")
  found.each { |row| say("introspection", "column #{row.join(" ")}") }
  key = connection.exec("SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = 'things'::regclass AND i.indisprimary ORDER BY a.attnum")
  say("introspection", "key #{key.column_values(0).join(",")}")
end

run(PG::VERSION, connect:, types:, prepared:, transactions:, errors:, bulk:, introspection:)
