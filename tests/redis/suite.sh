#!/usr/bin/env bash
# Redis' own test suite against a bare server and, as tenant acme, through the wall while another tenant's keys stand in the same database. Prints
# both counts and each test that passes bare and not through the wall; tests/redis/suite-skips.txt has a reason for each that is known, and any other
# one fails. The suite is Debian's source package of redis, driven unit by unit by ../shared/redis-suite/run.sh. usage: suite.sh ['unit unit …']
set -euo pipefail
cd "$(dirname "$0")/../.."
RUN=$(realpath -m "${REDIS_SUITE:-../shared/redis-suite/run.sh}")
if [ ! -f "$RUN" ]; then echo "redis suite: skipped, $RUN is not there"; exit 0; fi
if ! command -v tclsh8.6 >/dev/null; then apt-get install -y --no-install-recommends tcl8.6 >/dev/null; fi
TARGET=$(realpath -m "${CARGO_TARGET_DIR:-target}")
WALL=$TARGET/debug/partywall
cargo build --quiet
WORK=$TARGET/redis-suite
mkdir -p "$WORK"
if [ ! -d "$WORK/redis" ]; then
  (
    cd "$WORK"
    mkdir -p lists/partial
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main" >src.list
    O="-o Dir::Etc::sourcelist=$PWD/src.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$PWD/lists -o APT::Sandbox::User=root"
    apt-get $O update >/dev/null
    apt-get $O source --download-only redis >/dev/null
    mkdir unpacked
    tar xzf redis_*.orig.tar.gz -C unpacked --strip-components 1
    for program in redis-server redis-cli redis-benchmark; do ln -sf "$(command -v $program)" unpacked/src/; done
    mv unpacked redis
  )
fi

# One unit hears all events of keys by the pattern `*`, by which a tenant hears none (docs/REDIS.md), and would wait for them to its end: in both runs it
# listens by one that hears the same.
sed -i -E '/^ *### Keyspace events/,$ { s/(psubscribe \$rd1) \*\]/\1 __key*__:*]/; s/"pmessage \* /"pmessage __key*__:* / }' "$WORK/redis/tests/unit/pubsub.tcl"

read -r BARE UP PORT < <(python3 -c '
import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*[x.getsockname()[1] for x in s])')
mkdir -p "$WORK/policies"
cat >"$WORK/policies/suite.yaml" <<Y
version: 1
name: suite
tenants: { id: '[a-z]+' }
identity: { static: { tenant: acme } }
redis: { prefix: '{tenant}:', growth_max_bytes: 536870912, restore: on }
Y
cat >"$WORK/partywall.yaml" <<Y
listeners:
  - { name: suite, protocol: redis, listen: 127.0.0.1:$PORT, upstream: r, policy: suite, identity: [static], unsafe_test_passthrough: true }
upstreams:
  r: { address: 127.0.0.1:$UP }
policies: policies/
Y
# Here nobody ends a script that keeps the server busy but the suite, which counts on the server's ending this one by itself.
mkdir -p "$WORK/driver"
cp "$RUN" "$(dirname "$RUN")/skip.txt" "$WORK/driver/"
echo 'LIBRARIES - load timeout' >>"$WORK/driver/skip.txt"

ended=()
finish() {
  for p in "${ended[@]}"; do kill "$p" 2>/dev/null || true; done
  # One that a script keeps busy does not hear of its end.
  for p in $(cat "$WORK"/{bare,wall}/up.pid 2>/dev/null); do kill -KILL "$p" 2>/dev/null || true; done
}
trap finish EXIT

export UNITS=${1:-${UNITS:-}}
[ -n "$UNITS" ] || unset UNITS
rm -rf "$WORK/bare" "$WORK/wall"
[ -n "${SUITE_ONLY_WALL:-}" ] || UP=$BARE bash "$RUN" "$WORK/redis" 127.0.0.1 "$BARE" "$WORK/bare" 21111 >"$WORK/bare.out" 2>&1
# The wall asks upstream what it is when it starts; the driver then starts it anew for each unit.
redis-server --port "$UP" --bind 127.0.0.1 --save '' --dir "$WORK" --daemonize yes --pidfile "$WORK/first.pid" >/dev/null
sleep 0.5
# On one thread, for some tests write on several connections and rely on the order in which the server reads them.
PARTYWALL_UNSAFE_TEST_PASSTHROUGH=1 PARTYWALL_LOG=error "$WALL" serve --threads 1 --config "$WORK/partywall.yaml" >"$WORK/wall.log" 2>&1 &
ended+=($!)
sleep 1
redis-cli -p "$UP" shutdown nosave >/dev/null 2>&1 || true
# Another tenant's keys, again whenever the server is a new one.
(
  while sleep 0.2; do
    if [ "$(timeout 1 redis-cli -p "$UP" EXISTS globex:fill:499 2>/dev/null)" = 0 ]; then
      for n in $(seq 0 499); do echo "SET globex:fill:$n theirs"; done | timeout 5 redis-cli -p "$UP" >/dev/null 2>&1 || true
    fi
  done
) &
ended+=($!)
UP=$UP bash "$WORK/driver/$(basename "$RUN")" "$WORK/redis" 127.0.0.1 "$PORT" "$WORK/wall" 22111 >"$WORK/wall.out" 2>&1
python3 tests/redis/suite.py "$WORK" tests/redis/suite-skips.txt
