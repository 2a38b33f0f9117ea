<?php
// PHP: PDO's pgsql driver (native and emulated prepared statements, its COPY helpers), and the pgsql extension beside it.
error_reporting(E_ALL);
set_error_handler(function ($level, $text) { throw new ErrorException($text); });
$mark = getenv("MARK");
$types = ["size" => "int", "big" => "bigint", "price" => "numeric", "name" => "text", "raw" => "bytea", "at" => "timestamptz", "day" => "date",
    "code" => "uuid", "data" => "jsonb", "tags" => "tags", "sizes" => "sizes", "feeling" => "enum", "good" => "boolean", "ratio" => "double"];
$columns = implode(", ", array_keys($types));
$errors = [
    "unique" => "INSERT INTO things (id, name) VALUES (300, 'types nulls $mark')",
    "syntax" => "SELECT id FROM things WHERE WHERE",
    "column" => "SELECT id, nosuch FROM things",
    "table" => "SELECT * FROM nowhere",
    "null" => "INSERT INTO things (id, name) VALUES (300, NULL)",
    "check" => "INSERT INTO things (id, name, size) VALUES (300, 'c $mark', -1)",
    "foreign key" => "INSERT INTO parts (thing_id, label) VALUES (999999, 'none')",
    "division" => "SELECT 1 / (size - size) FROM things WHERE id = 1",
    "input" => "SELECT 'x'::int",
];

function say($step, $what) { echo "$step: $what\n"; }

function where() {
    $where = "host=" . getenv("PGHOST") . " port=" . getenv("PGPORT") . " dbname=" . getenv("PGDATABASE");
    return getenv("TENANT_OPTIONS") ? "$where options='" . getenv("TENANT_OPTIONS") . "'" : $where;
}

function connection($more = []) {
    return new PDO("pgsql:" . str_replace(" ", ";", preg_replace("/options='-c /", "options='-c\\ ", where())), getenv("PGUSER"), getenv("PGPASSWORD"), $more + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function one($db, $sql, $values = []) {
    $statement = $db->prepare($sql);
    $statement->execute($values);
    return $statement->fetchColumn();
}

$steps = [
    "connect" => function () {
        $db = connection();
        say("connect", "server " . intval($db->getAttribute(PDO::ATTR_SERVER_VERSION)));
        say("connect", "rows " . one($db, "SELECT count(*) FROM things"));
        say("connect", preg_replace("/.*(Client Encoding: \w+).*/", "$1", $db->getAttribute(PDO::ATTR_SERVER_INFO)));
        $plain = pg_connect(where() . " user=" . getenv("PGUSER"), PGSQL_CONNECT_FORCE_NEW);
        say("connect", "pgsql " . pg_parameter_status($plain, "server_encoding") . " " . pg_transaction_status($plain));
    },
    "types" => function () use ($types, $columns, $mark) {
        $db = connection();
        $insert = $db->prepare("INSERT INTO things (id, $columns) VALUES (1" . str_repeat(", ?", count($types)) . ")");
        $raw = fopen("php://memory", "r+");
        fwrite($raw, "\x00\xff\\'");
        rewind($raw);
        $values = [2147483647, "-9007199254740991", "12.50", "Zoë 'q' \"d\" \\ % \$1 ? $mark", $raw, "2024-02-29 12:30:00+00", "2024-02-29",
            "00000000-0000-0000-0000-000000000007", '{"a":[1,null]}', '{a,NULL,"q\""}', "{1,2,3}", "happy", true, 0.1];
        foreach ($values as $n => $value) {
            $insert->bindValue($n + 1, $value, is_resource($value) ? PDO::PARAM_LOB : (is_bool($value) ? PDO::PARAM_BOOL : PDO::PARAM_STR));
        }
        $insert->execute();
        $select = $db->prepare("SELECT $columns FROM things WHERE id = ?");
        $select->execute([1]);
        for ($n = 0; $n < $select->columnCount(); $n++) $meta[] = $select->getColumnMeta($n)["native_type"];
        say("types", "native " . implode(",", $meta));
        foreach ($select->fetch(PDO::FETCH_ASSOC) as $column => $value) {
            if ($column == "name") $value = substr($value, 0, -1 - strlen($mark));
            if ($column == "raw") $value = bin2hex(stream_get_contents($value));
            if ($column == "at") $value = preg_replace("/^(\S+) (\S+)\+00$/", "$1T$2Z", $value);
            if ($column == "data") $value = json_encode(json_decode($value));
            if (in_array($column, ["tags", "sizes"])) $value = str_replace(['"q\\""', "{", "}"], ['q"', "", ""], $value);
            say("types", "$types[$column] " . (is_bool($value) ? var_export($value, true) : $value));
        }
        $null = $db->prepare("INSERT INTO things (id, name, size) VALUES (2, :name, :size)");
        $null->execute(["name" => "types nulls $mark", "size" => null]);
        $select->execute([2]);
        say("types", "nulls " . count(array_filter($select->fetch(PDO::FETCH_NUM), "is_null")));
    },
    "prepared" => function () use ($mark) {
        $db = connection();
        $insert = $db->prepare("INSERT INTO things (id, name, size) VALUES (:id, :name, :size)");
        for ($made = $n = 0; $n < 20; $n++, $made += $insert->rowCount()) $insert->execute(["id" => 100 + $n, "name" => "prepared $n $mark", "size" => $n]);
        say("prepared", "inserted $made");
        $select = $db->prepare("SELECT size FROM things WHERE id = ?");
        for ($sum = $n = 0; $n < 20; $n++) { $select->execute([100 + $n]); $sum += $select->fetchColumn(); }
        say("prepared", "named $sum");
        $emulated = connection([PDO::ATTR_EMULATE_PREPARES => true]);
        for ($sum = $n = 0; $n < 20; $n++) $sum += one($emulated, "SELECT size FROM things WHERE id = ?", [100 + $n]);
        say("prepared", "unnamed $sum");
        $once = connection([PDO::PGSQL_ATTR_DISABLE_PREPARES => true]);
        for ($sum = $n = 0; $n < 20; $n++) $sum += one($once, "SELECT size FROM things WHERE id = ?", [100 + $n]);
        say("prepared", "unprepared $sum");
        say("prepared", "any " . one($db, "SELECT count(*) FROM things WHERE id = ANY(?)", ["{1,100,119,9999}"]));
        $plain = pg_connect(where() . " user=" . getenv("PGUSER"), PGSQL_CONNECT_FORCE_NEW);
        pg_prepare($plain, "sel", 'SELECT size FROM things WHERE id = $1');
        for ($sum = $n = 0; $n < 20; $n++) $sum += pg_fetch_result(pg_execute($plain, "sel", [100 + $n]), 0, 0);
        say("prepared", "pgsql $sum " . pg_fetch_result(pg_query_params($plain, 'SELECT count(*) FROM things WHERE size > $1', [17]), 0, 0));
    },
    "transactions" => function () use ($mark) {
        $db = connection();
        $insert = $db->prepare("INSERT INTO things (id, name) VALUES (?, ?)");
        $db->beginTransaction();
        $insert->execute([200, "undone $mark"]);
        $db->rollBack();
        say("transactions", "rolled back " . one($db, "SELECT count(*) FROM things WHERE id = 200"));
        $db->beginTransaction();
        $insert->execute([201, "kept 201 $mark"]);
        $db->exec("SAVEPOINT s");
        $insert->execute([202, "undone $mark"]);
        $db->exec("ROLLBACK TO SAVEPOINT s");
        $insert->execute([203, "kept 203 $mark"]);
        $db->commit();
        say("transactions", "kept " . implode(",", $db->query("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id")->fetchAll(PDO::FETCH_COLUMN)));
        $db->beginTransaction();
        try { $insert->execute([201, "again $mark"]); } catch (PDOException $e) {
            try { $db->query("SELECT 1"); } catch (PDOException $e) { say("transactions", "aborted " . $e->errorInfo[0]); }
        }
        $db->rollBack();
        $db->beginTransaction();
        for ($n = 0; $n < 3; $n++) one($db, "INSERT INTO parts (thing_id, label) VALUES (201, ?) RETURNING id", ["part $n $mark"]) > 0 || throw new Exception("no id");
        $db->commit();
        say("transactions", "parts " . one($db, "SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id"));
    },
    "errors" => function () use ($errors) {
        $db = connection();
        foreach ($errors as $what => $sql) {
            foreach (["query", "prepare"] as $by) {
                try {
                    $by == "query" ? $db->query($sql) : $db->prepare($sql)->execute();
                } catch (PDOException $e) {
                    say("errors", "$what " . $e->errorInfo[0]);
                    say("errors", "$what " . strtok($e->errorInfo[2], "\n"));
                }
            }
        }
        say("errors", "after " . one($db, "SELECT 42"));
    },
    "bulk" => function () use ($mark) {
        $db = connection();
        for ($n = 0; $n < 1000; $n++) $rows[] = 1000 + $n . "\tbulk $n $mark\t$n";
        $db->pgsqlCopyFromArray("things", $rows, "\t", "\\\\N", "id, name, size");
        say("bulk", "loaded " . one($db, "SELECT count(*) FROM things WHERE id BETWEEN 1000 AND 1999"));
        say("bulk", "sum " . one($db, "SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999"));
        $insert = $db->prepare("INSERT INTO things (id, name, size) VALUES " . substr(str_repeat(", (?, ?, ?)", 100), 2));
        for ($batch = [], $n = 0; $n < 100; $n++) array_push($batch, 2000 + $n, "batch $n $mark", $n);
        $insert->execute($batch);
        say("bulk", "batch " . $insert->rowCount());
        say("bulk", "updated " . $db->exec("UPDATE things SET size = size + 1 WHERE id BETWEEN 1000 AND 1999"));
        say("bulk", "deleted " . $db->exec("DELETE FROM things WHERE id >= 2000"));
        say("bulk", "out " . count($db->pgsqlCopyToArray("things", "\t", "\\\\N", "id,name")));
        $db->beginTransaction();
        $walk = $db->prepare("SELECT id FROM things WHERE id >= 1000 ORDER BY id", [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
        $walk->execute();
        for ($seen = 0; $walk->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_NEXT); $seen++);
        $db->commit();
        say("bulk", "streamed $seen");
        say("bulk", "total " . one($db, "SELECT count(*) FROM things"));
    },
    "introspection" => function () {
        $db = connection();
        $found = $db->query("SELECT column_name, udt_name, is_nullable FROM information_schema.columns WHERE table_name = 'things' ORDER BY ordinal_position")->fetchAll(PDO::FETCH_NUM);
        say("introspection", "columns " . implode(",", array_column($found, 0)));
        foreach ($found as $row) say("introspection", "column " . implode(" ", $row));
        $select = $db->query("SELECT id, name FROM things LIMIT 1");
        say("introspection", "table " . $select->getColumnMeta(0)["table"]);
        say("introspection", "key " . one($db, "SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = CAST(? AS regclass) AND i.indisprimary", ["things"]));
        $plain = pg_connect(where() . " user=" . getenv("PGUSER"), PGSQL_CONNECT_FORCE_NEW);
        foreach (pg_meta_data($plain, "things") as $name => $column) say("introspection", "column $name $column[type] {$column['not null']} {$column['is enum']}");
        say("introspection", "typed " . pg_field_type(pg_query($plain, "SELECT size FROM things LIMIT 1"), 0));
    },
];
say("version", PHP_VERSION);
foreach ($steps as $name => $step) {
    try {
        $step();
    } catch (Throwable $e) {
        fwrite(STDERR, "$e\n");
        echo "$name! " . get_class($e) . ": " . preg_replace("/\s+/", " ", $e->getMessage()) . "\n";
    }
}
