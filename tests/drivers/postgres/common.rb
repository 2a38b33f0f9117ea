# What the Ruby programs share: where to connect, the values, and how results are said.
require "json"
$stdout.sync = true

MARK = ENV["MARK"]
TEXT = "Zoë 'q' \"d\" \\ % $1 ?"
WHERE = { host: ENV["PGHOST"], port: ENV["PGPORT"].to_i }
WHERE[:options] = ENV["TENANT_OPTIONS"] unless ENV["TENANT_OPTIONS"].empty?
NAMES = { size: "int", big: "bigint", price: "numeric", name: "text", raw: "bytea", at: "timestamptz", day: "date", code: "uuid", data: "jsonb",
          tags: "tags", sizes: "sizes", feeling: "enum", good: "boolean", ratio: "double" }
ERRORS = {
  "unique" => "INSERT INTO things (id, name) VALUES (300, 'types nulls #{MARK}')",
  "syntax" => "SELECT id FROM things WHERE WHERE",
  "column" => "SELECT id, nosuch FROM things",
  "table" => "SELECT * FROM nowhere",
  "null" => "INSERT INTO things (id, name) VALUES (300, NULL)",
  "check" => "INSERT INTO things (id, name, size) VALUES (300, 'c #{MARK}', -1)",
  "foreign key" => "INSERT INTO parts (thing_id, label) VALUES (999999, 'none')",
  "division" => "SELECT 1 / (size - size) FROM things WHERE id = 1",
  "input" => "SELECT 'x'::int",
}

def say(step, what) = puts("#{step}: #{what}")

# One value as every program writes it.
def plain(column, value)
  case value
  when nil then "NULL"
  when Array then value.map { |v| v.nil? ? "NULL" : v.to_s }.join(",")
  when Hash then JSON.generate(value)
  when Time then value.utc.strftime("%Y-%m-%dT%H:%M:%SZ")
  else
    return value.unpack1("H*") if column == :raw
    return value.delete_suffix(" #{MARK}") if column == :name
    column == :price ? format("%.2f", value) : value.to_s
  end
end

def say_types(row) = NAMES.each { |column, name| say("types", "#{name} #{plain(column, row[column])}") }

# Each step in its turn; one that fails says so and the others go on.
def run(version, **steps)
  say("version", version)
  steps.each do |name, step|
    step.call
  rescue StandardError, NotImplementedError => e
    warn(e.full_message(highlight: false))
    puts "#{name}! #{e.class}: #{e.message.gsub(/\s+/, " ")}"
  end
end
