#!/usr/bin/env bash
# Runs the black-box isolation suite, which stands beside the project, against the wall: two throwaway clusters, the wall on the shared one.
# usage: isolation.sh [attack ids or groups, comma separated]. ISOLATION_POOL='mode: transaction, size: 2' has it run over a pool. Fails on a leak, a foreign change, other rows or a broken session.
set -euo pipefail
cd "$(dirname "$0")/.."
SUITE=${ISOLATION_SUITE:-../shared/isolation/postgres}
if [ ! -d "$SUITE" ]; then echo "isolation: skipped, $SUITE is not there"; exit 0; fi
TARGET=$(realpath -m "${CARGO_TARGET_DIR:-target}")
WALL=$TARGET/debug/partywall
[ -x "$WALL" ] && [ -n "${ISOLATION_NO_BUILD:-}" ] || cargo build --quiet

PYTHON=$TARGET/isolation-venv/bin/python
if [ ! -x "$PYTHON" ]; then
  python3 -m venv "$TARGET/isolation-venv"
  "$PYTHON" -m pip install --quiet 'psycopg[binary]' pyyaml
fi

# The servers run as an unprivileged user, who must be able to enter.
WORK=$(mktemp -d "${TMPDIR:-/tmp}/isolation.XXXXXX")
chmod 755 "$WORK"
wall=
finish() {
  if [ -n "$wall" ]; then kill "$wall" 2>/dev/null || true; wait "$wall" 2>/dev/null || true; fi
  "$WORK/suite/cluster.sh" stop >/dev/null 2>&1 || true
  rm -rf "$WORK"
}
trap finish EXIT
cp -r "$SUITE" "$WORK/suite"
chmod -R u+w,a+rX "$WORK/suite"
read -r SHARED PRIVATE LISTEN ADMIN < <("$PYTHON" -c '
import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*[x.getsockname()[1] for x in s])')
sed -i "s/54329/$SHARED/g; s/54330/$PRIVATE/g" "$WORK"/suite/*.sh "$WORK"/suite/*.py "$WORK"/suite/*.yaml
(cd "$WORK/suite" && ./cluster.sh init && ./cluster.sh start) >/dev/null
"$PYTHON" "$WORK/suite/seed.py" all >/dev/null

mkdir "$WORK/policies"
cp tests/isolation/policy.yaml "$WORK/policies/"
pool=
if [ -n "${ISOLATION_POOL:-}" ]; then pool=", pool: { $ISOLATION_POOL }"; fi
cat > "$WORK/partywall.yaml" <<Y
listeners:
  - { name: isolation, protocol: postgres, listen: 127.0.0.1:$LISTEN, upstream: shared, policy: isolation, identity: [startup] }
upstreams:
  shared: { address: 127.0.0.1:$SHARED, database: shared, user: app_rw$pool }
policies: policies/
admin: 127.0.0.1:$ADMIN
Y
PARTYWALL_LOG=${PARTYWALL_LOG:-warn} "$WALL" serve --config "$WORK/partywall.yaml" >"$WORK/wall.out" 2>"$WORK/wall.err" &
wall=$!
for _ in $(seq 100); do
  (exec 3<>"/dev/tcp/127.0.0.1/$LISTEN") 2>/dev/null && break
  kill -0 "$wall" 2>/dev/null || { cat "$WORK/wall.err"; exit 1; }
  sleep 0.1
done

DSN="host=127.0.0.1 port=$LISTEN user={tenant} password={tenant}-pw dbname=shared options=-c\\spartywall.tenant={tenant}"
only=(--attacks)
[ "$#" -eq 0 ] || only=(--only "$1")
(cd "$WORK/suite" && "$PYTHON" run.py --label wall --shared-dsn "$DSN" "${only[@]}" --json "$WORK/result.json") >"$WORK/run.out" 2>&1 || true
kill -0 "$wall" 2>/dev/null || { echo "isolation: the wall died"; cat "$WORK/wall.err"; exit 1; }
[ -z "${ISOLATION_KEEP:-}" ] || cp "$WORK/result.json" "$WORK/wall.err" "$ISOLATION_KEEP/"
[ -s "$WORK/result.json" ] || { cat "$WORK/run.out"; exit 1; }
cat "$WORK/run.out"
"$PYTHON" tests/isolation/verdict.py "$WORK/result.json"
