#!/usr/bin/env bash
# Makes what the tests with other languages' drivers need, under target/clients: a Python environment and Node's modules. Kept between runs.
set -euo pipefail
cd "$(dirname "$0")/.."
home=target/clients
python='psycopg[binary]==3.* asyncpg==0.* SQLAlchemy[asyncio]==2.* Django==5.* psycopg2-binary==2.* redis==5.*'
node='pg@8 ioredis@5'
mkdir -p "$home"
exec 9>"$home/lock"; flock 9
want="$python $node"
[ "$(cat "$home/made" 2>/dev/null || true)" = "$want" ] && exit 0
missing=()
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
if [ "${#missing[@]}" -gt 0 ]; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
rm -rf "$home/python" "$home/node"
python3 -m venv "$home/python"
# shellcheck disable=SC2086
"$home/python/bin/pip" install --quiet --disable-pip-version-check $python
mkdir -p "$home/node"
# shellcheck disable=SC2086
npm install --silent --no-audit --no-fund --prefix "$home/node" $node >/dev/null
echo "$want" >"$home/made"
