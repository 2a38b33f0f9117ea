#!/usr/bin/env bash
# psql: the simple protocol, \copy, \d, and \bind where this version has it.
set -uo pipefail
export PGOPTIONS=$TENANT_OPTIONS PGCONNECT_TIMEOUT=10
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
say() { printf '%s: %s\n' "$1" "$2"; }
# Runs a step; a part of it that fails ends it.
step() { local out; if out=$("$1" 2>&1); then printf '%s\n' "$out"; else printf '%s\n%s! %s\n' "$out" "$1" "$(printf '%s' "$out" | tail -n 1)"; fi; }

connect() { set -e
  say connect "server $(sql -c 'SHOW server_version' | cut -d. -f1)"
  say connect "rows $(sql -c 'SELECT count(*) FROM things')"
  say connect "$(sql -c '\encoding') $(sql -c 'SELECT current_schema')"
}

types() { set -e
  sql -v mark="$MARK" <<'Q'
INSERT INTO things (id, size, big, price, name, raw, at, day, code, data, tags, sizes, feeling, good, ratio) VALUES (1, 2147483647,
  -9007199254740991, 12.50, E'Zoë \'q\' "d" \\ % $1 ? ' || :'mark', '\x00ff5c27', '2024-02-29 13:30+01', '2024-02-29',
  '00000000-0000-0000-0000-000000000007', '{"a": [1, null]}', ARRAY['a', NULL, 'q"'], '{1,2,3}', 'happy', true, 0.1);
INSERT INTO things (id, name) VALUES (2, 'types nulls ' || :'mark');
SET TIME ZONE 'UTC'
\g
\t off
\a
\pset format unaligned
\pset fieldsep '\n'
\t on
SELECT 'types: int ' || size, 'types: bigint ' || big, 'types: numeric ' || price, 'types: text ' || left(name, -1 - length(:'mark')),
  'types: bytea ' || encode(raw, 'hex'), 'types: timestamptz ' || to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'types: date ' || day,
  'types: uuid ' || code, 'types: jsonb ' || replace(data::text, ' ', ''), 'types: tags ' || array_to_string(tags, ',', 'NULL'),
  'types: sizes ' || array_to_string(sizes, ','), 'types: enum ' || feeling::text, 'types: boolean ' || good::text, 'types: double ' || ratio
  FROM things WHERE id = 1;
SELECT 'types: nulls ' || num_nulls(size, big, price, raw, at, day, code, data, tags, sizes, feeling, good, ratio) FROM things WHERE id = 2;
\pset fieldsep '|'
SELECT 'types: raw', size, big, price, raw, at, day, code, data, tags, sizes, feeling, good, ratio FROM things WHERE id = 1;
Q
}

prepared() { set -e
  { echo "PREPARE ins (bigint, text, int) AS INSERT INTO things (id, name, size) VALUES (\$1, \$2, \$3) RETURNING 'one';"
    for n in $(seq 0 19); do echo "EXECUTE ins ($((100 + n)), 'prepared $n $MARK', $n);"; done; } | sql >"$TMP/out"
  say prepared "inserted $(grep -c one "$TMP/out")"
  { echo "PREPARE sel (bigint) AS SELECT size FROM things WHERE id = \$1;"
    for n in $(seq 0 19); do echo "EXECUTE sel ($((100 + n)));"; done; echo "DEALLOCATE sel;"; } | sql >"$TMP/out"
  say prepared "named $(awk '{ s += $1 } END { print s }' "$TMP/out")"
  for n in $(seq 0 19); do echo "SELECT size FROM things WHERE id = $((100 + n));"; done | sql >"$TMP/out"
  say prepared "unnamed $(awk '{ s += $1 } END { print s }' "$TMP/out")"
  say prepared "any $(sql -c "SELECT count(*) FROM things WHERE id = ANY('{1,100,119,9999}')")"
  say prepared "$(printf 'SELECT id, name, size FROM things WHERE id = 1 \\gdesc' | sql | tr '\n' ' ')"
}

transactions() { set -e
  sql -c "BEGIN; INSERT INTO things (id, name) VALUES (200, 'undone $MARK'); ROLLBACK"
  say transactions "rolled back $(sql -c 'SELECT count(*) FROM things WHERE id = 200')"
  sql <<Q
BEGIN;
INSERT INTO things (id, name) VALUES (201, 'kept 201 $MARK');
SAVEPOINT s;
INSERT INTO things (id, name) VALUES (202, 'undone $MARK');
ROLLBACK TO SAVEPOINT s;
INSERT INTO things (id, name) VALUES (203, 'kept 203 $MARK');
COMMIT;
Q
  say transactions "kept $(sql -c 'SELECT id FROM things WHERE id BETWEEN 200 AND 299 ORDER BY id' | paste -sd,)"
  sql -v ON_ERROR_STOP=0 <<Q 2>/dev/null
BEGIN;
INSERT INTO things (id, name) VALUES (201, 'again $MARK');
SELECT 1;
\echo transactions: aborted :LAST_ERROR_SQLSTATE
ROLLBACK;
Q
  for n in 0 1 2; do echo "INSERT INTO parts (thing_id, label) VALUES (201, 'part $n $MARK');"; done | sql --single-transaction
  say transactions "parts $(sql -c 'SELECT count(*) FROM parts p JOIN things t ON t.id = p.thing_id')"
}

errors() {
  code() { printf '%s;\n\\echo errors: %s :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE\n' "$2" "$1" | psql -X -q -A -t 2>"$TMP/err" | sed -E "s/^(errors: $1 [0-9A-Z]{5}) (.*)/\1\n\1 \2/"
           grep -E '^(LINE| *\^)' "$TMP/err" | sed 's/^/errors: /'; }
  code unique "INSERT INTO things (id, name) VALUES (300, 'types nulls $MARK')"
  code syntax "SELECT id FROM things WHERE WHERE"
  code column "SELECT id, nosuch FROM things"
  code table "SELECT * FROM nowhere"
  code null "INSERT INTO things (id, name) VALUES (300, NULL)"
  code check "INSERT INTO things (id, name, size) VALUES (300, 'c $MARK', -1)"
  code "foreign key" "INSERT INTO parts (thing_id, label) VALUES (999999, 'none')"
  code division "SELECT 1 / (size - size) FROM things WHERE id = 1"
  code input "SELECT 'x'::int"
  printf 'SELECT 1/0;\nSELECT 42;\n' | psql -X -q -A -t 2>/dev/null | sed 's/^/errors: after /'
}

bulk() { set -e
  for n in $(seq 0 999); do printf '%d\tbulk %d %s\t%d\n' $((1000 + n)) "$n" "$MARK" "$n"; done >"$TMP/rows"
  say bulk "loaded $(psql -X -A -t -c "\\copy things (id, name, size) FROM '$TMP/rows'" | cut -d' ' -f2)"
  say bulk "sum $(sql -c 'SELECT sum(size) FROM things WHERE id BETWEEN 1000 AND 1999')"
  local values; values=$(for n in $(seq 0 99); do printf "(%d, 'batch %d %s', %d)," $((2000 + n)) "$n" "$MARK" "$n"; done)
  say bulk "batch $(psql -X -A -t -c "INSERT INTO things (id, name, size) VALUES ${values%,}" | cut -d' ' -f3)"
  say bulk "updated $(psql -X -A -t -c 'UPDATE things SET size = size + 1 WHERE id BETWEEN 1000 AND 1999' | cut -d' ' -f2)"
  say bulk "deleted $(psql -X -A -t -c 'DELETE FROM things WHERE id >= 2000' | cut -d' ' -f2)"
  say bulk "out $(sql -c '\copy (SELECT id, name, size FROM things WHERE id >= 1000) TO STDOUT (FORMAT csv, HEADER)' | wc -l)"
  say bulk "streamed $(sql -v FETCH_COUNT=70 -c 'SELECT id FROM things WHERE id BETWEEN 1000 AND 1999' | wc -l)"
  say bulk "total $(sql -c 'SELECT count(*) FROM things')"
}

introspection() { set -e
  say introspection "columns $(sql -c '\d things' | cut -d'|' -f1 | grep -v : | paste -sd,)"
  sql -c '\d things' -c '\d parts' -c '\dt' -c '\di' -c '\dT' -c '\ds' | sed 's/^/introspection: /'
  say introspection "key $(sql -c "SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND
    a.attnum = ANY(i.indkey) WHERE i.indrelid = 'things'::regclass AND i.indisprimary")"
}

TMP=$(mktemp -d); trap 'rm -rf "$TMP"' EXIT
say version "$(psql --version | cut -d' ' -f3)"
for name in connect types prepared transactions errors bulk introspection; do step $name; done
