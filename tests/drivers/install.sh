#!/usr/bin/env bash
# Makes what a group of drivers needs, under $CACHE where the language has a place for that, else from Debian's packages. Kept between runs.
# usage: CACHE=directory install.sh python|node|prisma|java|go|ruby|php|perl|rust|sidekiq|phpredis|haproxy|stunnel|curl; the last line of a failure is shown as the reason.
set -euo pipefail
cd "$(dirname "$0")"
: "${CACHE:?}"
mkdir -p "$CACHE"
exec 9>"$CACHE/lock"; flock 9

debian() {
  local missing=()
  for package in "$@"; do dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$package"); done
  [ "${#missing[@]}" -gt 0 ] || return 0
  bash ../install.sh "${missing[@]}" >/dev/null || { echo "Debian's packages do not give ${missing[*]}"; exit 1; }
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

ruby() { debian ruby ruby-pg ruby-activerecord; }
sidekiq() { debian ruby ruby-sidekiq; }
haproxy() { debian haproxy; }
stunnel() { debian stunnel4; }
curl() { debian curl; }
php() { debian php-cli php-pgsql; }
phpredis() { debian php-cli php-redis; }
perl() { debian libdbd-pg-perl; }

java() {
  debian libpostgresql-jdbc-java
  command -v javac >/dev/null || debian openjdk-17-jdk-headless
}

rust() {
  debian libpq-dev
  make_binaries() {
    mkdir -p "$CACHE/rust"; rm -rf "$CACHE/rust/src"; cp -r rust/Cargo.toml rust/build.rs rust/src "$CACHE/rust/"
    (cd "$CACHE/rust" && CARGO_TARGET_DIR=$CACHE/rust/target nice -n 19 cargo build --quiet)
  }
  once rust "$(cat rust/Cargo.toml rust/build.rs rust/src/*.rs rust/src/bin/*.rs)" make_binaries
}

# Debian's packages of Go have no modules.
go() {
  debian golang-go golang-github-lib-pq-dev golang-github-jackc-pgx-v4-dev
  local source; source=$(cat postgres/go/*/*.go)
  make_programs() {
    rm -rf "$CACHE/go/src"; mkdir -p "$CACHE/go/src/drivers"; cp -r postgres/go/* "$CACHE/go/src/drivers/"
    export GO111MODULE=off GOPATH=$CACHE/go:/usr/share/gocode GOCACHE=$CACHE/go/cache
    while read -r name package; do
      local version; version=$(dpkg-query -W -f '${Version}' "$package")
      (cd "$CACHE/go/src/drivers" && command go build -ldflags "-X main.version=${version%-*}" -o "$CACHE/go/$name" "./$name")
    done <<<$'libpq golang-github-lib-pq-dev\npgx golang-github-jackc-pgx-v4-dev'
  }
  once go "$source" make_programs
}

case "$1" in
  python | node | prisma | ruby | php | perl | go | java | rust | sidekiq | phpredis | haproxy | stunnel | curl) "$1" ;;
  *) echo "nothing is known of $1"; exit 1 ;;
esac
