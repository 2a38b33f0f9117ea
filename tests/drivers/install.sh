#!/usr/bin/env bash
# Makes what a group of drivers needs, under $CACHE where the language has a place for that, else from Debian's packages. Kept between runs.
# usage: CACHE=directory install.sh python|node|prisma|java|go|ruby|php|perl|libpq|rust; the last line of a failure is shown as the reason.
set -euo pipefail
cd "$(dirname "$0")"
: "${CACHE:?}"
mkdir -p "$CACHE"
exec 9>"$CACHE/lock"; flock 9

debian() {
  local missing=()
  for package in "$@"; do dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$package"); done
  [ "${#missing[@]}" -gt 0 ] || return 0
  local sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq >/dev/null
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || { echo "Debian's packages do not give ${missing[*]}"; exit 1; }
}

# once NAME WANTED COMMAND…: runs the command unless NAME was made for WANTED before.
once() {
  local stamp=$CACHE/$1.made want=$2; shift 2
  [ "$(cat "$stamp" 2>/dev/null || true)" = "$want" ] && return 0
  rm -f "$stamp"; "$@"; echo "$want" >"$stamp"
}

python() {
  command -v python3 >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null || debian python3-venv
  make_venv() { rm -rf "$CACHE/python"; python3 -m venv "$CACHE/python"; "$CACHE/python/bin/pip" install --quiet --disable-pip-version-check -r python.txt; }
  once python "$(cat python.txt)" make_venv
}

node() {
  command -v node >/dev/null || debian nodejs
  command -v npm >/dev/null || debian npm
  make_modules() { mkdir -p "$CACHE/node"; cp package.json "$CACHE/node/"; npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$CACHE/node" >/dev/null; }
  once node "$(cat package.json)" make_modules
}

# Its program for migrations is fetched from elsewhere and not needed to make a client.
prisma() {
  node
  make_client() {
    rm -rf "$CACHE/node/prisma"; mkdir -p "$CACHE/node/prisma"; cp postgres/prisma/schema.prisma "$CACHE/node/prisma/"
    (cd "$CACHE/node" && PRISMA_SCHEMA_ENGINE_BINARY=/bin/true node_modules/.bin/prisma generate --schema prisma/schema.prisma) >/dev/null 2>"$CACHE/prisma.log" ||
      { tail -n 3 "$CACHE/prisma.log"; exit 1; }
  }
  once prisma "$(cat postgres/prisma/schema.prisma package.json)" make_client
}

case "$1" in
  python | node | prisma) "$1" ;;
  *) echo "nothing is known of $1"; exit 1 ;;
esac
