// lib/pq under database/sql: prepared on the server for each parameterised query, COPY by CopyIn, arrays.
package main

import (
	"context"
	"database/sql"
	"fmt"

	"drivers/common"

	"github.com/lib/pq"
)

var (
	version string // set by the linker
	db      *sql.DB
	say     = common.Say
	must    = common.Must
	mark    = common.Mark
)

const insert = "INSERT INTO things (id, name, size) VALUES ($1, $2, $3)"

func number(query string, values ...interface{}) (n int64) {
	must(db.QueryRow(query, values...).Scan(&n))
	return
}

func numbers(query string, values ...interface{}) (all []int64) {
	rows, err := db.Query(query, values...)
	must(err)
	defer rows.Close()
	for rows.Next() {
		var n int64
		must(rows.Scan(&n))
		all = append(all, n)
	}
	must(rows.Err())
	return
}

func affected(r sql.Result, err error) int64 {
	must(err)
	n, err := r.RowsAffected()
	must(err)
	return n
}

func columns() (text string, slots string) {
	for n, c := range common.Columns {
		text += ", " + c
		slots += fmt.Sprintf(", $%d", n+1)
	}
	return text[2:], slots
}

func connect() {
	say("connect", "server %d", number("SELECT current_setting('server_version_num')::int / 10000"))
	say("connect", "rows %d", number("SELECT count(*) FROM things"))
	must(db.Ping())
	conn, err := db.Conn(context.Background())
	must(err)
	_, err = conn.ExecContext(context.Background(), "SET application_name = 'other'; SELECT 1")
	must(err)
	must(conn.Close())
}

func types() {
	names, slots := columns()
	tags := pq.GenericArray{A: []interface{}{"a", nil, `q"`}}
	_, err := db.Exec("INSERT INTO things (id, "+names+") VALUES (1"+slots+")", 2147483647, int64(-9007199254740991), "12.50", common.Text+" "+mark,
		[]byte("\x00\xff\\'"), "2024-02-29 12:30:00+00", "2024-02-29", "00000000-0000-0000-0000-000000000007", `{"a":[1,null]}`,
		tags, pq.Array([]int64{1, 2, 3}), "happy", true, 0.1)
	must(err)
	row := make([]interface{}, len(common.Columns))
	into := make([]interface{}, len(row))
	for n := range row {
		into[n] = &row[n]
	}
	var found []sql.NullString
	var sizes []int64
	into[9], into[10] = pq.Array(&found), pq.Array(&sizes)
	rows, err := db.Query("SELECT "+names+" FROM things WHERE id = $1", 1)
	must(err)
	kinds, err := rows.ColumnTypes()
	must(err)
	for _, k := range kinds {
		say("types", "column %s %s", k.Name(), k.DatabaseTypeName())
	}
	rows.Next()
	must(rows.Scan(into...))
	must(rows.Close())
	texts := make([]*string, len(found))
	for n := range found {
		if found[n].Valid {
			texts[n] = &found[n].String
		}
	}
	row[9], row[10] = texts, sizes
	common.SayTypes(row)
	_, err = db.Exec("INSERT INTO things (id, name, size) VALUES (2, $1, $2)", "types nulls "+mark, nil)
	must(err)
	for n := range row {
		into[n] = &row[n]
	}
	must(db.QueryRow("SELECT " + names + " FROM things WHERE id = 2").Scan(into...))
	nulls := 0
	for _, v := range row {
		if v == nil {
			nulls++
		}
	}
	say("types", "nulls %d", nulls)
}

func prepared() {
	statement, err := db.Prepare(insert)
	must(err)
	var made, named, unnamed int64
	for n := 0; n < 20; n++ {
		made += affected(statement.Exec(100+n, fmt.Sprintf("prepared %d %s", n, mark), n))
	}
	must(statement.Close())
	say("prepared", "inserted %d", made)
	statement, err = db.Prepare("SELECT size FROM things WHERE id = $1")
	must(err)
	for n := 0; n < 20; n++ {
		var size int64
		must(statement.QueryRow(100 + n).Scan(&size))
		named += size
		unnamed += number("SELECT size FROM things WHERE id = $1", 100+n)
	}
	say("prepared", "named %d", named)
	say("prepared", "unnamed %d", unnamed)
	say("prepared", "any %d", number("SELECT count(*) FROM things WHERE id = ANY($1)", pq.Array([]int64{1, 100, 119, 9999})))
	binary, err := sql.Open("postgres", common.DSN("partywall.tenant=TENANT")+" binary_parameters=yes")
	must(err)
	var size int64
	must(binary.QueryRow("SELECT size FROM things WHERE id = $1", 119).Scan(&size))
	say("prepared", "binary %d", size)
	must(binary.Close())
}

func transactions() {
	add := func(tx *sql.Tx, id int, name string) error {
		_, err := tx.Exec("INSERT INTO things (id, name) VALUES ($1, $2)", id, name+" "+mark)
		return err
	}
	tx, err := db.Begin()
	must(err)
	must(add(tx, 200, "undone"))
	must(tx.Rollback())
	say("transactions", "rolled back %d", number("SELECT count(*) FROM things WHERE id = 200"))
	tx, err = db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable})
	must(err)
	must(add(tx, 201, "kept 201"))
	_, err = tx.Exec("SAVEPOINT s")
	must(err)
	must(add(tx, 202, "undone"))
	_, err = tx.Exec("ROLLBACK TO SAVEPOINT s")
	must(err)
	must(add(tx, 203, "kept 203"))
	must(tx.Commit())
	say("transactions", "kept %s", common.Join(numbers("SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id")))
	tx, err = db.Begin()
	must(err)
	if err := add(tx, 201, "again"); err != nil {
		_, err = tx.Exec("SELECT 1")
		say("transactions", "aborted %s", err.(*pq.Error).Code)
	}
	must(tx.Rollback())
	tx, err = db.BeginTx(context.Background(), nil)
	must(err)
	for n := 0; n < 3; n++ {
		var id int64
		must(tx.QueryRow("INSERT INTO parts (thing_id, label) VALUES (201, $1) RETURNING id", fmt.Sprintf("part %d %s", n, mark)).Scan(&id))
	}
	must(tx.Commit())
	say("transactions", "parts %d", number("SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id"))
	only, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	must(err)
	say("transactions", "read only %s", add(only, 204, "never").(*pq.Error).Code)
	must(only.Rollback())
}

func errs() {
	for _, e := range common.Errors {
		for _, values := range [][]interface{}{nil, {}} {
			_, err := db.Exec(e[1], values...)
			p := err.(*pq.Error)
			say("errors", "%s %s", e[0], p.Code)
			say("errors", "%s %s / %s / %s / %s", e[0], p.Message, p.Constraint, p.Table, p.Position)
		}
	}
	say("errors", "after %d", number("SELECT 42"))
}

func bulk() {
	tx, err := db.Begin()
	must(err)
	statement, err := tx.Prepare(pq.CopyIn("things", "id", "name", "size"))
	must(err)
	for n := 0; n < 1000; n++ {
		_, err = statement.Exec(1000+n, fmt.Sprintf("bulk %d %s", n, mark), n)
		must(err)
	}
	loaded := affected(statement.Exec())
	must(statement.Close())
	must(tx.Commit())
	say("bulk", "loaded %d", loaded)
	say("bulk", "sum %d", number("SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999"))
	ids, texts, sizes := make([]int64, 100), make([]string, 100), make([]int64, 100)
	for n := range ids {
		ids[n], texts[n], sizes[n] = int64(2000+n), fmt.Sprintf("batch %d %s", n, mark), int64(n)
	}
	batch := affected(db.Exec("INSERT INTO things (id, name, size) SELECT * FROM unnest($1::bigint[], $2::text[], $3::int[])", pq.Array(ids), pq.Array(texts), pq.Array(sizes)))
	say("bulk", "batch %d", batch)
	say("bulk", "updated %d", affected(db.Exec("UPDATE things SET size = size + 1 WHERE id BETWEEN $1 AND $2", 1000, 1999)))
	say("bulk", "deleted %d", affected(db.Exec("DELETE FROM things WHERE id >= 2000")))
	tx, err = db.Begin()
	must(err)
	_, err = tx.Exec("DECLARE walk CURSOR FOR SELECT id FROM things WHERE id >= 1000 ORDER BY id")
	must(err)
	seen := 0
	for page := 1; page > 0; seen += page {
		rows, err := tx.Query("FETCH 70 FROM walk")
		must(err)
		for page = 0; rows.Next(); page++ {
		}
		must(rows.Close())
	}
	must(tx.Commit())
	say("bulk", "streamed %d", seen)
	say("bulk", "total %d", number("SELECT count(*) FROM things"))
}

func introspection() {
	rows, err := db.Query("SELECT column_name, udt_name, is_nullable FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position", "things")
	must(err)
	all := ""
	for rows.Next() {
		var name, kind, null string
		must(rows.Scan(&name, &kind, &null))
		all += "," + name
		say("introspection", "column %s %s %s", name, kind, null)
	}
	say("introspection", "columns %s", all[1:])
	var key string
	must(db.QueryRow("SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = $1::regclass AND i.indisprimary", "things").Scan(&key))
	say("introspection", "key %s", key)
}

func main() {
	var err error
	db, err = sql.Open("postgres", common.DSN("partywall.tenant=TENANT"))
	must(err)
	db.SetMaxOpenConns(3)
	common.Run(version, common.Step{"connect", connect}, common.Step{"types", types}, common.Step{"prepared", prepared},
		common.Step{"transactions", transactions}, common.Step{"errors", errs}, common.Step{"bulk", bulk}, common.Step{"introspection", introspection})
}
