// pgjdbc: prepared on the server after five executions, batches (rewritten ones too), cursors by fetch size, COPY, DatabaseMetaData.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;

public class JdbcDriver {
    static final String MARK = System.getenv("MARK");
    static final String[] COLUMNS = "size big price name raw at day code data tags sizes feeling good ratio".split(" ");
    static final Map<String, String> NAMES = Map.ofEntries(Map.entry("size", "int"), Map.entry("big", "bigint"), Map.entry("price", "numeric"),
        Map.entry("name", "text"), Map.entry("raw", "bytea"), Map.entry("at", "timestamptz"), Map.entry("day", "date"), Map.entry("code", "uuid"),
        Map.entry("data", "jsonb"), Map.entry("feeling", "enum"), Map.entry("good", "boolean"), Map.entry("ratio", "double"));
    static final String[][] ERRORS = {
        {"unique", "INSERT INTO things (id, name) VALUES (300, 'types nulls " + MARK + "')"},
        {"syntax", "SELECT id FROM things WHERE WHERE"},
        {"column", "SELECT id, nosuch FROM things"},
        {"table", "SELECT * FROM nowhere"},
        {"null", "INSERT INTO things (id, name) VALUES (300, NULL)"},
        {"check", "INSERT INTO things (id, name, size) VALUES (300, 'c " + MARK + "', -1)"},
        {"foreign key", "INSERT INTO parts (thing_id, label) VALUES (999999, 'none')"},
        {"division", "SELECT 1 / (size - size) FROM things WHERE id = 1"},
        {"input", "SELECT 'x'::int"},
    };
    static final String INSERT = "INSERT INTO things (id, name, size) VALUES (?, ?, ?)";

    interface Step { void run() throws Exception; }

    static void say(String step, Object what) { System.out.println(step + ": " + what); }

    static Connection open(String... more) throws SQLException {
        Properties with = new Properties();
        with.setProperty("user", System.getenv("PGUSER"));
        if (!System.getenv("TENANT_OPTIONS").isEmpty()) with.setProperty("options", System.getenv("TENANT_OPTIONS"));
        for (int n = 0; n < more.length; n += 2) with.setProperty(more[n], more[n + 1]);
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), with);
    }

    static PreparedStatement bound(Connection c, String sql, Object... values) throws SQLException {
        PreparedStatement s = c.prepareStatement(sql);
        for (int n = 0; n < values.length; n++) s.setObject(n + 1, values[n]);
        return s;
    }

    static long one(Connection c, String sql, Object... values) throws SQLException {
        try (PreparedStatement s = bound(c, sql, values); ResultSet r = s.executeQuery()) {
            r.next();
            return r.getLong(1);
        }
    }

    static int change(Connection c, String sql, Object... values) throws SQLException {
        try (PreparedStatement s = bound(c, sql, values)) {
            return s.executeUpdate();
        }
    }

    static void connect() throws SQLException {
        try (Connection c = open("ApplicationName", "drivers")) {
            say("connect", "server " + c.getMetaData().getDatabaseMajorVersion());
            say("connect", "rows " + one(c, "SELECT count(*) FROM things"));
            say("connect", c.isValid(5) + " " + c.getSchema() + " " + c.getCatalog() + " " + c.getTransactionIsolation() + " " + c.getClientInfo("ApplicationName"));
            Statement slow = c.createStatement();
            slow.setQueryTimeout(1);
            try {
                slow.execute("SELECT pg_sleep(10)");
            } catch (SQLException e) {
                say("connect", "cancelled " + e.getSQLState());
            }
        }
    }

    static void types() throws Exception {
        try (Connection c = open()) {
            String names = String.join(", ", COLUMNS);
            PGobject json = new PGobject();
            json.setType("jsonb");
            json.setValue("{\"a\": [1, null]}");
            PGobject mood = new PGobject();
            mood.setType("mood");
            mood.setValue("happy");
            change(c, "INSERT INTO things (id, " + names + ") VALUES (1" + ", ?".repeat(COLUMNS.length) + ")", 2147483647, -9007199254740991L,
                new java.math.BigDecimal("12.50"), "Zoë 'q' \"d\" \\ % $1 ? " + MARK, new byte[] {0, (byte) 255, 92, 39},
                OffsetDateTime.of(2024, 2, 29, 12, 30, 0, 0, ZoneOffset.UTC), LocalDate.of(2024, 2, 29), new UUID(0, 7), json,
                c.createArrayOf("text", new String[] {"a", null, "q\""}), c.createArrayOf("int4", new Integer[] {1, 2, 3}), mood, true, 0.1);
            PreparedStatement select = c.prepareStatement("SELECT " + names + " FROM things WHERE id = ?");
            for (int round = 0; round < 7; round++) {  // binary from the sixth on
                select.setLong(1, 1);
                ResultSet r = select.executeQuery();
                r.next();
                for (String column : COLUMNS) {
                    String line = NAMES.getOrDefault(column, column) + " " + plain(r, column);
                    if (round == 0) say("types", line);
                    if (round == 6) say("types", "binary " + line);
                }
                ResultSetMetaData m = r.getMetaData();
                for (int n = 1; round == 0 && n <= m.getColumnCount(); n++) {
                    say("types", "meta " + m.getColumnName(n) + " " + m.getColumnTypeName(n) + " " + m.getTableName(n) + " " + m.isNullable(n) + " " + m.isAutoIncrement(n) + " " + m.getPrecision(n));
                }
            }
            PreparedStatement empty = bound(c, "INSERT INTO things (id, name, size) VALUES (2, ?, ?)", "types nulls " + MARK);
            empty.setNull(2, Types.INTEGER);
            empty.executeUpdate();
            ResultSet r = c.createStatement().executeQuery("SELECT " + names + " FROM things WHERE id = 2");
            r.next();
            int nulls = 0;
            for (int n = 1; n <= COLUMNS.length; n++) if (r.getObject(n) == null) nulls++;
            say("types", "nulls " + nulls);
        }
    }

    static String plain(ResultSet r, String column) throws SQLException {
        switch (column) {
            case "name": return r.getString(column).replaceAll(" " + MARK + "$", "");
            case "raw": return HexFormat.of().formatHex(r.getBytes(column));
            case "at": return r.getObject(column, OffsetDateTime.class).withOffsetSameInstant(ZoneOffset.UTC).format(java.time.format.DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss'Z'"));
            case "day": return r.getObject(column, LocalDate.class).toString();
            case "data": return r.getString(column).replace(" ", "");
            case "tags": case "sizes":
                StringJoiner all = new StringJoiner(",");
                for (Object o : (Object[]) r.getArray(column).getArray()) all.add(o == null ? "NULL" : o.toString());
                return all.toString();
            default: return r.getObject(column).toString();
        }
    }

    static void prepared() throws SQLException {
        try (Connection c = open(); Connection simple = open("preferQueryMode", "simple"); Connection once = open("prepareThreshold", "0")) {
            PreparedStatement insert = c.prepareStatement(INSERT);
            int made = 0;
            for (int n = 0; n < 20; n++) {
                insert.setLong(1, 100 + n);
                insert.setString(2, "prepared " + n + " " + MARK);
                insert.setInt(3, n);
                made += insert.executeUpdate();
            }
            say("prepared", "inserted " + made);
            PreparedStatement select = c.prepareStatement("SELECT size FROM things WHERE id = ?");
            long named = 0, unnamed = 0, plain = 0;
            for (int n = 0; n < 20; n++) {
                select.setLong(1, 100 + n);
                ResultSet r = select.executeQuery();
                r.next();
                named += r.getInt(1);
                unnamed += one(once, "SELECT size FROM things WHERE id = ?", 100 + n);
                plain += one(simple, "SELECT size FROM things WHERE id = ?", 100 + n);
            }
            say("prepared", "named " + named);
            say("prepared", "unnamed " + unnamed);
            say("prepared", "simple " + plain);
            ParameterMetaData takes = insert.getParameterMetaData();
            say("prepared", "takes " + takes.getParameterTypeName(1) + " " + takes.getParameterTypeName(2) + " " + takes.getParameterTypeName(3));
            say("prepared", "any " + one(c, "SELECT count(*) FROM things WHERE id = ANY(?)", c.createArrayOf("int8", new Long[] {1L, 100L, 119L, 9999L})));
            PreparedStatement keys = c.prepareStatement("UPDATE things SET size = size WHERE id = 100", Statement.RETURN_GENERATED_KEYS);
            keys.executeUpdate();
            ResultSet r = keys.getGeneratedKeys();
            r.next();
            say("prepared", "returned " + r.getLong("id"));
            Statement two = c.createStatement();
            two.execute("SELECT 1; SELECT count(*) FROM things");
            say("prepared", "several " + two.getMoreResults());
        }
    }

    static void transactions() throws SQLException {
        try (Connection c = open()) {
            String insert = "INSERT INTO things (id, name) VALUES (?, ?)";
            c.setAutoCommit(false);
            change(c, insert, 200, "undone " + MARK);
            c.rollback();
            say("transactions", "rolled back " + one(c, "SELECT count(*) FROM things WHERE id = 200"));
            c.commit();
            c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            change(c, insert, 201, "kept 201 " + MARK);
            Savepoint s = c.setSavepoint();
            change(c, insert, 202, "undone " + MARK);
            c.rollback(s);
            change(c, insert, 203, "kept 203 " + MARK);
            c.commit();
            StringJoiner kept = new StringJoiner(",");
            ResultSet r = c.createStatement().executeQuery("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id");
            while (r.next()) kept.add(r.getString(1));
            say("transactions", "kept " + kept);
            try {
                change(c, insert, 201, "again " + MARK);
            } catch (SQLException e) {
                try {
                    c.createStatement().execute("SELECT 1");
                } catch (SQLException aborted) {
                    say("transactions", "aborted " + aborted.getSQLState());
                }
            }
            c.rollback();
            for (int n = 0; n < 3; n++) {
                PreparedStatement part = c.prepareStatement("INSERT INTO parts (thing_id, label) VALUES (201, ?)", new String[] {"id"});
                part.setString(1, "part " + n + " " + MARK);
                part.executeUpdate();
                if (!part.getGeneratedKeys().next()) throw new SQLException("no key");
            }
            c.commit();
            say("transactions", "parts " + one(c, "SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id"));
            c.rollback();
            c.setReadOnly(true);
            try {
                change(c, insert, 204, "never");
            } catch (SQLException e) {
                say("transactions", "read only " + e.getSQLState());
            }
            c.rollback();
        }
    }

    static void errors() throws SQLException {
        try (Connection c = open()) {
            for (String[] error : ERRORS) {
                for (boolean prepare : new boolean[] {false, true}) {
                    try {
                        if (prepare) c.prepareStatement(error[1]).execute();
                        else c.createStatement().execute(error[1]);
                    } catch (PSQLException e) {
                        var m = e.getServerErrorMessage();
                        say("errors", error[0] + " " + e.getSQLState());
                        say("errors", error[0] + " " + m.getMessage() + " / " + m.getConstraint() + " / " + m.getTable() + " / " + m.getPosition());
                    }
                }
            }
            PreparedStatement batch = c.prepareStatement(INSERT);
            for (int id : new int[] {301, 1, 302}) {
                batch.setInt(1, id);
                batch.setString(2, "in a batch " + id + " " + MARK);
                batch.setInt(3, 0);
                batch.addBatch();
            }
            try {
                batch.executeBatch();
            } catch (BatchUpdateException e) {
                say("errors", "batch " + e.getSQLState() + " " + Arrays.toString(e.getUpdateCounts()));
            }
            say("errors", "after " + one(c, "SELECT 42"));
        }
    }

    static void bulk() throws Exception {
        try (Connection c = open("reWriteBatchedInserts", "true")) {
            StringBuilder rows = new StringBuilder();
            for (int n = 0; n < 1000; n++) rows.append(1000 + n).append("\tbulk ").append(n).append(' ').append(MARK).append('\t').append(n).append('\n');
            say("bulk", "loaded " + c.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY things (id, name, size) FROM STDIN", new StringReader(rows.toString())));
            say("bulk", "sum " + one(c, "SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999"));
            PreparedStatement insert = c.prepareStatement(INSERT);
            for (int n = 0; n < 100; n++) {
                insert.setLong(1, 2000 + n);
                insert.setString(2, "batch " + n + " " + MARK);
                insert.setInt(3, n);
                insert.addBatch();
            }
            say("bulk", "batch " + insert.executeBatch().length);
            say("bulk", "updated " + change(c, "UPDATE things SET size = size + ? WHERE id BETWEEN 1000 AND 1999", 1));
            say("bulk", "deleted " + change(c, "DELETE FROM things WHERE id >= 2000"));
            StringWriter out = new StringWriter();
            say("bulk", "out " + c.unwrap(PGConnection.class).getCopyAPI().copyOut("COPY (SELECT id, name FROM things WHERE id >= 1000 ORDER BY id) TO STDOUT (FORMAT csv)", out) + " " + out.toString().lines().findFirst().get());
            c.setAutoCommit(false);
            PreparedStatement walk = c.prepareStatement("SELECT id FROM things WHERE id >= ?");
            walk.setLong(1, 1000);
            walk.setFetchSize(70);
            ResultSet r = walk.executeQuery();
            int seen = 0;
            while (r.next()) seen++;
            say("bulk", "streamed " + seen);
            Statement scrolled = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
            ResultSet u = scrolled.executeQuery("SELECT id, name, size FROM things WHERE id BETWEEN 1000 AND 1009 ORDER BY id");
            u.absolute(3);
            u.updateInt("size", 7);
            u.updateRow();
            c.commit();
            say("bulk", "in place " + one(c, "SELECT size FROM things WHERE id = 1002"));
            say("bulk", "total " + one(c, "SELECT count(*) FROM things"));
            c.commit();
        }
    }

    static void introspection() throws SQLException {
        try (Connection c = open()) {
            DatabaseMetaData m = c.getMetaData();
            List<String> columns = new ArrayList<>();
            print("table", m.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME", "TABLE_TYPE", "REMARKS");
            for (ResultSet r = m.getColumns(null, "public", "things", "%"); r.next();) columns.add(r.getString("COLUMN_NAME"));
            columns.remove("tenant_id");
            say("introspection", "columns " + String.join(",", columns));
            print("column", m.getColumns(null, "public", "things", "%"), "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "IS_NULLABLE", "COLUMN_DEF", "IS_AUTOINCREMENT");
            print("column", m.getColumns(null, "public", "parts", "%"), "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "IS_NULLABLE", "COLUMN_DEF", "IS_AUTOINCREMENT");
            for (ResultSet r = m.getPrimaryKeys(null, "public", "things"); r.next();) if (!r.getString("COLUMN_NAME").equals("tenant_id")) say("introspection", "key " + r.getString("COLUMN_NAME"));
            print("imported", m.getImportedKeys(null, "public", "parts"), "FK_NAME", "PKTABLE_NAME", "PKCOLUMN_NAME", "FKCOLUMN_NAME", "PK_NAME");
            print("exported", m.getExportedKeys(null, "public", "things"), "FK_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME");
            print("index", m.getIndexInfo(null, "public", "parts", false, false), "INDEX_NAME", "NON_UNIQUE", "COLUMN_NAME");
            print("schema", m.getSchemas(null, "public"), "TABLE_SCHEM");
            print("type", m.getUDTs(null, "public", "%", null), "TYPE_NAME", "DATA_TYPE");
            print("privilege", m.getTablePrivileges(null, "public", "things"), "PRIVILEGE", "GRANTEE");
            print("version", m.getBestRowIdentifier(null, "public", "things", DatabaseMetaData.bestRowSession, false), "COLUMN_NAME", "TYPE_NAME");
            int known = 0;
            for (ResultSet r = m.getTypeInfo(); r.next();) known++;
            say("introspection", "types " + (known > 50) + " " + m.getSQLKeywords().length() + " " + m.getMaxColumnNameLength());
            ResultSet r = m.getFunctions(null, "public", "%");
            say("introspection", "functions " + r.next());
        }
    }

    static void print(String what, ResultSet r, String... columns) throws SQLException {
        while (r.next()) {
            StringJoiner line = new StringJoiner(" ");
            for (String column : columns) line.add(r.getString(column));
            say("introspection", what + " " + line);
        }
    }

    public static void main(String[] none) throws Exception {
        System.setOut(new java.io.PrintStream(System.out, true, "UTF-8"));
        say("version", org.postgresql.util.DriverInfo.DRIVER_VERSION);
        Map<String, Step> steps = new LinkedHashMap<>();
        steps.put("connect", JdbcDriver::connect);
        steps.put("types", JdbcDriver::types);
        steps.put("prepared", JdbcDriver::prepared);
        steps.put("transactions", JdbcDriver::transactions);
        steps.put("errors", JdbcDriver::errors);
        steps.put("bulk", JdbcDriver::bulk);
        steps.put("introspection", JdbcDriver::introspection);
        for (var step : steps.entrySet()) {
            try {
                step.getValue().run();
            } catch (Exception e) {
                e.printStackTrace();
                System.out.println(step.getKey() + "! " + e.toString().replaceAll("\\s+", " "));
            }
        }
    }
}
