#!/usr/bin/env bash
# Installs, by Debian's packages, what the build and the tests need and the machine lacks. Starts no service.
set -euo pipefail
BIN=/usr/lib/postgresql/15/bin
want=()
[ -x "$BIN/postgres" ] || want+=(postgresql-15)
command -v psql >/dev/null || want+=(postgresql-client-15)
command -v pgbench >/dev/null || want+=(postgresql-contrib)
command -v redis-server >/dev/null || want+=(redis-server)
command -v redis-cli >/dev/null || want+=(redis-tools)
command -v openssl >/dev/null || want+=(openssl)
command -v cc >/dev/null || want+=(gcc libc6-dev)
command -v runuser >/dev/null || want+=(util-linux)
libclang() { compgen -G '/usr/lib/llvm-*/lib/libclang.so*' || compgen -G '/usr/lib/*/libclang.so*' || compgen -G '/usr/lib/*/libclang-[0-9]*.so*'; }
command -v clang >/dev/null && libclang >/dev/null || want+=(libclang-dev clang)
# Further packages by name: `install.sh pgbouncer`.
for package in "$@"; do
  dpkg -s "$package" >/dev/null 2>&1 || want+=("$package")
done
if [ "${#want[@]}" -gt 0 ]; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  # A package must not start a server of its own, nor make a cluster.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null; $sudo chmod +x "$policy"; trap '$sudo rm -f "$policy"' EXIT; fi
  $sudo mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
  echo "installing: ${want[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null
fi
