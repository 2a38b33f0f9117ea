#!/usr/bin/env bash
# Attack sequences against the wall before a Redis of its own, under two prefixes: the shared corpus that stands beside the project, where it is there,
# and tests/redis/attacks. usage: redis.sh [attack ids or groups, comma separated]. ISOLATION_SCALE=1 plays the large ones in full.
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
status=0
# The second one is all glob characters. ISOLATION_UPSTREAMS: some of them only.
while read -r upstream prefix; do
  case " ${ISOLATION_UPSTREAMS:-alone shared shared-cluster alone-acl shared-acl} " in *" $upstream "*) ;; *) continue ;; esac
  "$PYTHON" tests/isolation/redis/run.py "$WALL" "${files[@]}" --only "${1:-}" --upstream "$upstream" --prefix "$prefix" || status=1
done <<'PREFIXES'
alone {tenant}:
alone w?[^{tenant}]:
shared {tenant}:
shared-cluster {{tenant}}:
alone-acl w?[^{tenant}]:
shared-acl {tenant}:
PREFIXES
exit $status
