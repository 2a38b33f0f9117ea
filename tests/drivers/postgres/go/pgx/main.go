// pgx 4: binary where it can, a cache of prepared statements, batches, CopyFrom, a pool, the simple protocol by choice.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"drivers/common"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var (
	version string // set by the linker
	ctx     = context.Background()
	db      *pgx.Conn
	say     = common.Say
	must    = common.Must
	mark    = common.Mark
)

const insert = "INSERT INTO things (id, name, size) VALUES ($1, $2, $3)"

func config() *pgx.ConnConfig {
	config, err := pgx.ParseConfig(common.DSN(""))
	must(err)
	if os.Getenv("TENANT") != "" {
		config.RuntimeParams["partywall.tenant"] = os.Getenv("TENANT")
	}
	return config
}

func open(simple bool) *pgx.Conn {
	config := config()
	config.PreferSimpleProtocol = simple
	conn, err := pgx.ConnectConfig(ctx, config)
	must(err)
	return conn
}

func number(query string, values ...interface{}) (n int64) {
	must(db.QueryRow(ctx, query, values...).Scan(&n))
	return
}

func affected(tag pgconn.CommandTag, err error) int64 {
	must(err)
	return tag.RowsAffected()
}

func columns() (text string, slots string) {
	for n, c := range common.Columns {
		text += ", " + c
		slots += fmt.Sprintf(", $%d", n+1)
	}
	return text[2:], slots
}

func connect() {
	say("connect", "server %.2s", db.PgConn().ParameterStatus("server_version"))
	say("connect", "rows %d", number("SELECT count(*) FROM things"))
	must(db.Ping(ctx))
	deadline, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	other := open(false)
	_, err := other.Exec(deadline, "SELECT pg_sleep(5)")
	say("connect", "cancelled %v %v", err != nil, other.IsClosed())
}

func types() {
	names, slots := columns()
	for n, id := range []int{1, 3} {
		conn := open(n == 1)
		name := common.Text + " " + mark
		if n == 1 {
			name = "simple " + name
		}
		var price pgtype.Numeric
		must(price.Set("12.50"))
		var code pgtype.UUID
		must(code.Set("00000000-0000-0000-0000-000000000007"))
		var tags pgtype.TextArray
		must(tags.Set([]*string{text("a"), nil, text(`q"`)}))
		var data pgtype.JSONB
		must(data.Set(`{"a":[1,null]}`))
		day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
		values := []interface{}{int32(2147483647), int64(-9007199254740991), &price, name, []byte("\x00\xff\\'"), day.Add(12*time.Hour + 30*time.Minute), day,
			&code, &data, &tags, []int32{1, 2, 3}, "happy", true, 0.1}
		if n == 1 {
			values[6], values[10] = "2024-02-29", &pgtype.Int4Array{}
			must(values[10].(*pgtype.Int4Array).Set([]int32{1, 2, 3}))
		}
		_, err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO things (id, %s) VALUES (%d%s)", names, id, slots), values...)
		must(err)
		must(conn.Close(ctx))
	}
	db.Exec(ctx, "DELETE FROM things WHERE id = 3")
	rows, err := db.Query(ctx, "SELECT "+names+" FROM things WHERE id = $1", 1)
	must(err)
	for _, f := range rows.FieldDescriptions() {
		oid := f.DataTypeOID
		if oid >= 10000 {
			oid = 0
		}
		say("types", "field %s %d %d", f.Name, oid, f.Format)
	}
	rows.Next()
	row := make([]interface{}, len(common.Columns))
	into := make([]interface{}, len(row))
	var size int32
	var big int64
	var price, day, code, feeling string
	var name string
	var raw []byte
	var at, date time.Time
	var data map[string]interface{}
	var tags []*string
	var sizes []int32
	var good bool
	var ratio float64
	var number pgtype.Numeric
	var uuid pgtype.UUID
	into = []interface{}{&size, &big, &number, &name, &raw, &at, &date, &uuid, &data, &tags, &sizes, &feeling, &good, &ratio}
	must(rows.Scan(into...))
	rows.Close()
	must(rows.Err())
	var f float64
	must(number.AssignTo(&f))
	price, day = fmt.Sprintf("%.2f", f), date.Format("2006-01-02")
	must(uuid.AssignTo(&code))
	row = []interface{}{size, big, price, name, raw, at, day, code, data, tags, sizes, feeling, good, ratio}
	common.SayTypes(row)
	_, err = db.Exec(ctx, "INSERT INTO things (id, name, size) VALUES (2, $1, $2)", "types nulls "+mark, nil)
	must(err)
	rows, err = db.Query(ctx, "SELECT "+names+" FROM things WHERE id = 2")
	must(err)
	rows.Next()
	values, err := rows.Values()
	must(err)
	rows.Close()
	nulls := 0
	for _, v := range values {
		if v == nil {
			nulls++
		}
	}
	say("types", "nulls %d", nulls)
}

func text(s string) *string { return &s }

func prepared() {
	description, err := db.Prepare(ctx, "ins", insert)
	must(err)
	say("prepared", "takes %v", description.ParamOIDs)
	var made, named, unnamed int64
	for n := 0; n < 20; n++ {
		made += affected(db.Exec(ctx, "ins", 100+n, fmt.Sprintf("prepared %d %s", n, mark), n))
	}
	say("prepared", "inserted %d", made)
	_, err = db.Prepare(ctx, "sel", "SELECT size FROM things WHERE id = $1")
	must(err)
	simple := open(true)
	for n := 0; n < 20; n++ {
		named += number("sel", 100+n)
		var size int64
		must(simple.QueryRow(ctx, "SELECT size FROM things WHERE id = $1", 100+n).Scan(&size))
		unnamed += size
	}
	say("prepared", "named %d", named)
	say("prepared", "unnamed %d", unnamed)
	must(db.Deallocate(ctx, "sel"))
	say("prepared", "any %d", number("SELECT count(*) FROM things WHERE id = ANY($1)", []int64{1, 100, 119, 9999}))
}

func transactions() {
	add := func(tx pgx.Tx, id int, name string) error {
		_, err := tx.Exec(ctx, "INSERT INTO things (id, name) VALUES ($1, $2)", id, name+" "+mark)
		return err
	}
	undo := errors.New("undo")
	undone := func(err error) {
		if err != undo {
			panic(fmt.Sprint("not undone: ", err))
		}
	}
	undone(db.BeginFunc(ctx, func(tx pgx.Tx) error {
		must(add(tx, 200, "undone"))
		return undo
	}))
	say("transactions", "rolled back %d", number("SELECT count(*) FROM things WHERE id = 200"))
	must(db.BeginTxFunc(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
		must(add(tx, 201, "kept 201"))
		undone(tx.BeginFunc(ctx, func(nested pgx.Tx) error {
			must(add(nested, 202, "undone"))
			return undo
		}))
		return add(tx, 203, "kept 203")
	}))
	var kept []int64
	must(db.QueryRow(ctx, "SELECT array_agg(id ORDER BY id) FROM things WHERE id BETWEEN 200 AND 299").Scan(&kept))
	say("transactions", "kept %s", common.Join(kept))
	tx, err := db.Begin(ctx)
	must(err)
	if err := add(tx, 201, "again"); err != nil {
		_, err = tx.Exec(ctx, "SELECT 1")
		say("transactions", "aborted %s", err.(*pgconn.PgError).Code)
	}
	must(tx.Rollback(ctx))
	tx, err = db.Begin(ctx)
	must(err)
	for n := 0; n < 3; n++ {
		var id int64
		must(tx.QueryRow(ctx, "INSERT INTO parts (thing_id, label) VALUES (201, $1) RETURNING id", fmt.Sprintf("part %d %s", n, mark)).Scan(&id))
	}
	must(tx.Commit(ctx))
	say("transactions", "parts %d", number("SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id"))
}

func errs() {
	simple := open(true)
	for _, e := range common.Errors {
		for _, conn := range []*pgx.Conn{db, simple} {
			_, err := conn.Exec(ctx, e[1])
			var p *pgconn.PgError
			if !errors.As(err, &p) {
				panic(fmt.Sprint(e[0], err))
			}
			say("errors", "%s %s", e[0], p.Code)
			say("errors", "%s %s / %s / %s / %d", e[0], p.Message, p.ConstraintName, p.TableName, p.Position)
		}
	}
	say("errors", "after %d", number("SELECT 42"))
}

func bulk() {
	loaded, err := db.CopyFrom(ctx, pgx.Identifier{"things"}, []string{"id", "name", "size"}, pgx.CopyFromSlice(1000, func(n int) ([]interface{}, error) {
		return []interface{}{int64(1000 + n), fmt.Sprintf("bulk %d %s", n, mark), int32(n)}, nil
	}))
	must(err)
	say("bulk", "loaded %d", loaded)
	say("bulk", "sum %d", number("SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999"))
	batch := &pgx.Batch{}
	for n := 0; n < 100; n++ {
		batch.Queue(insert, 2000+n, fmt.Sprintf("batch %d %s", n, mark), n)
	}
	results := db.SendBatch(ctx, batch)
	var sent int64
	for n := 0; n < 100; n++ {
		sent += affected(results.Exec())
	}
	must(results.Close())
	say("bulk", "batch %d", sent)
	say("bulk", "updated %d", affected(db.Exec(ctx, "UPDATE things SET size = size + $1 WHERE id BETWEEN 1000 AND 1999", 1)))
	say("bulk", "deleted %d", affected(db.Exec(ctx, "DELETE FROM things WHERE id >= 2000")))
	poolConfig, err := pgxpool.ParseConfig(common.DSN(""))
	must(err)
	poolConfig.ConnConfig.RuntimeParams = config().RuntimeParams
	pool, err := pgxpool.ConnectConfig(ctx, poolConfig)
	must(err)
	seen := 0
	_, err = pool.QueryFunc(ctx, "SELECT id, name FROM things WHERE id >= $1 ORDER BY id", []interface{}{1000}, []interface{}{new(int64), new(string)}, func(pgx.QueryFuncRow) error {
		seen++
		return nil
	})
	must(err)
	pool.Close()
	say("bulk", "streamed %d", seen)
	say("bulk", "total %d", number("SELECT count(*) FROM things"))
}

func introspection() {
	rows, err := db.Query(ctx, "SELECT column_name, udt_name, is_nullable FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position", "things")
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
	must(db.QueryRow(ctx, "SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = 'things'::regclass AND i.indisprimary").Scan(&key))
	say("introspection", "key %s", key)
	var mood uint32
	must(db.QueryRow(ctx, "SELECT 'mood'::regtype::oid").Scan(&mood))
	say("introspection", "type %v", mood > 0)
}

func main() {
	db = open(false)
	common.Run(version, common.Step{"connect", connect}, common.Step{"types", types}, common.Step{"prepared", prepared},
		common.Step{"transactions", transactions}, common.Step{"errors", errs}, common.Step{"bulk", bulk}, common.Step{"introspection", introspection})
}
