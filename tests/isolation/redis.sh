#!/usr/bin/env bash
# Attack sequences against the wall before a Redis of its own, a round for each way to it: the shared corpus that stands beside the project, where it is
# there, and tests/redis/attacks. usage: redis.sh [attack ids or groups, comma separated]. ISOLATION_ROUNDS='alone shared-cluster': these rounds only;
# ISOLATION_JOBS=3: so many at once, which makes their times longer than they are. ISOLATION_SCALE=1 plays the large attacks in full.
set -euo pipefail
cd "$(dirname "$0")/../.."
TARGET=$(realpath -m "${CARGO_TARGET_DIR:-target}")
WALL=$TARGET/debug/partywall
[ -x "$WALL" ] && [ -n "${ISOLATION_NO_BUILD:-}" ] || cargo build --quiet
PYTHON=$TARGET/isolation-venv/bin/python
if [ ! -x "$PYTHON" ]; then
  python3 -m venv "$TARGET/isolation-venv"
fi
"$PYTHON" -c 'import yaml' 2>/dev/null || "$PYTHON" -m pip install --quiet pyyaml
files=(tests/redis/attacks/*.yaml)
SUITE=${REDIS_ISOLATION_SUITE:-../shared/isolation/redis/attacks.yaml}
if [ -f "$SUITE" ]; then files+=("$SUITE"); else echo "redis isolation: skipped, $SUITE is not there"; fi
export PYTHONDONTWRITEBYTECODE=1
# Name, way upstream and prefix. `glob` is all glob characters, which patterns and the rules of the server's users must quote.
rounds() {
  cat <<'ROUNDS'
alone alone {tenant}:
alone-glob alone w?[^{tenant}]:
shared shared {tenant}:
shared-cluster shared-cluster {{tenant}}:
alone-acl alone-acl {tenant}:
shared-acl-glob shared-acl w?[^{tenant}]:
ROUNDS
}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/redis-isolation.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$WORK"' EXIT
known=" $(rounds | cut -d' ' -f1 | tr '\n' ' ')"
for name in ${ISOLATION_ROUNDS:-}; do
  case "$known" in *" $name "*) ;; *) echo "redis isolation: no round $name among$known"; exit 2 ;; esac
done
names=()
while read -r name upstream prefix; do
  case " ${ISOLATION_ROUNDS:-$known} " in *" $name "*) ;; *) continue ;; esac
  names+=("$name")
  while [ "$(jobs -rp | wc -l)" -ge "${ISOLATION_JOBS:-1}" ]; do wait -n || true; done
  {
    "$PYTHON" tests/isolation/redis/run.py "$WALL" "${files[@]}" --only "${1:-}" --upstream "$upstream" --prefix "$prefix" >"$WORK/$name.out" 2>&1 &&
      touch "$WORK/$name.held"
  } &
done < <(rounds)
wait
status=0
for name in "${names[@]}"; do
  cat "$WORK/$name.out"
  [ -e "$WORK/$name.held" ] || status=1
done
exit $status
