// Package common is what the Go programs share: where to connect, the values, and how results are said.
package common

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// Mark is this session's own, in all its rows.
var Mark = os.Getenv("MARK")

// Columns of the table, in the order in which every program writes them.
var Columns = strings.Split("size big price name raw at day code data tags sizes feeling good ratio", " ")

// Text is a value with every character that has ever been quoted wrongly.
const Text = `Zoë 'q' "d" \ % $1 ?`

var names = map[string]string{"size": "int", "big": "bigint", "price": "numeric", "name": "text", "raw": "bytea", "at": "timestamptz",
	"day": "date", "code": "uuid", "data": "jsonb", "feeling": "enum", "good": "boolean", "ratio": "double"}

// Errors by name, in order.
var Errors = [][2]string{
	{"unique", "INSERT INTO things (id, name) VALUES (300, 'types nulls " + Mark + "')"},
	{"syntax", "SELECT id FROM things WHERE WHERE"},
	{"column", "SELECT id, nosuch FROM things"},
	{"table", "SELECT * FROM nowhere"},
	{"null", "INSERT INTO things (id, name) VALUES (300, NULL)"},
	{"check", "INSERT INTO things (id, name, size) VALUES (300, 'c " + Mark + "', -1)"},
	{"foreign key", "INSERT INTO parts (thing_id, label) VALUES (999999, 'none')"},
	{"division", "SELECT 1 / (size - size) FROM things WHERE id = 1"},
	{"input", "SELECT 'x'::int"},
}

// Say prints one line.
func Say(step, format string, values ...interface{}) { fmt.Printf(step+": "+format+"\n", values...) }

// DSN in libpq's form; the tenant as a setting of the start.
func DSN(option string) string {
	dsn := fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", os.Getenv("PGHOST"), os.Getenv("PGPORT"), os.Getenv("PGUSER"), os.Getenv("PGDATABASE"))
	if os.Getenv("TENANT") != "" {
		dsn += fmt.Sprintf(" %s", strings.ReplaceAll(option, "TENANT", os.Getenv("TENANT")))
	}
	return dsn
}

// SayTypes says a row of Columns.
func SayTypes(row []interface{}) {
	for n, column := range Columns {
		name, ok := names[column]
		if !ok {
			name = column
		}
		Say("types", "%s %s", name, plain(column, row[n]))
	}
}

func plain(column string, value interface{}) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case []byte:
		if column == "raw" {
			return hex.EncodeToString(v)
		}
		return plain(column, string(v))
	case string:
		switch column {
		case "name":
			return strings.TrimSuffix(v, " "+Mark)
		case "data":
			return strings.ReplaceAll(v, " ", "")
		}
		return v
	case time.Time:
		if column == "day" {
			return v.Format("2006-01-02")
		}
		return v.UTC().Format(time.RFC3339)
	case map[string]interface{}:
		text, _ := json.Marshal(v)
		return string(text)
	case []*string:
		var all []string
		for _, s := range v {
			if s == nil {
				all = append(all, "NULL")
			} else {
				all = append(all, *s)
			}
		}
		return strings.Join(all, ",")
	case []int32:
		return strings.Trim(strings.ReplaceAll(fmt.Sprint(v), " ", ","), "[]")
	case []int64:
		return strings.Trim(strings.ReplaceAll(fmt.Sprint(v), " ", ","), "[]")
	}
	return fmt.Sprint(value)
}

// Join of numbers with commas.
func Join(numbers []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ","), "[]")
}

// Must ends the step.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Step is a named part of a program.
type Step struct {
	Name string
	Do   func()
}

// Run does each step in its turn; one that fails says so and the others go on.
func Run(version string, steps ...Step) {
	Say("version", version)
	for _, step := range steps {
		one(step)
	}
}

func one(step Step) {
	defer func() {
		if why := recover(); why != nil {
			fmt.Printf("%s! %s\n", step.Name, strings.Join(strings.Fields(fmt.Sprint(why)), " "))
		}
	}()
	step.Do()
}
