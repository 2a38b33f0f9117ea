#!/usr/bin/env bash
# Command-line clients and proxies, by the argument: each asks whose it is, says another name, and asks again.
set -uo pipefail
LATER=(-c "SET partywall.tenant = 'globex'" -c "RESET ALL" -c "DISCARD ALL" -c 'SELECT name FROM whose')
here() { local port; port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'); echo "$port"; }
answers() { for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; echo "nothing listens"; exit 1; }
# From lines that hold two values: the first is who one is, the last who one still is.
tell() { local said; said=$(grep -o 'mark-[a-z]*') ; if [ -n "$said" ]; then echo "named: $(head -n1 <<<"$said")"; echo "later: $(tail -n1 <<<"$said")"; else echo "refused: $(tr -d '\r' <"$TMP/err" | grep . | tail -n1)"; fi; }
ask_pg() { psql -X -A -t -w "$1" -c 'SELECT name FROM whose' "${LATER[@]}" 2>"$TMP/err" | tell; }
REDIS_LINES=$'GET whose\nAUTH globex x\nHELLO 3 AUTH third x\nRESET\nGET whose\n'
ask_redis() { printf '%s' "$REDIS_LINES" | timeout 10 redis-cli "$@" >"$TMP/out" 2>"$TMP/err"; cat "$TMP/out" >>"$TMP/err"; tell <"$TMP/out"; }
TMP=$(mktemp -d "$WORK/clients.XXXXXX")
CHILD=
trap '[ -z "$CHILD" ] || kill "$CHILD" 2>/dev/null; rm -rf "$TMP"' EXIT
version() { echo "version: $("$@" 2>&1 | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n1)"; }

psql_mtls() { version psql --version; ask_pg "host=localhost port=$PORT_PG_MTLS user=anyone dbname=shop sslmode=verify-full sslrootcert=$CA sslcert=$CERT sslkey=$KEY"; }
psql_scram() { version psql --version; PGPASSWORD=$PASSWORD ask_pg "host=localhost port=$PORT_PG_PASSWORD user=$NAME dbname=shop sslmode=verify-full sslrootcert=$CA channel_binding=require"; }
redis_cli() { version redis-cli --version; ask_redis -h localhost -p "$PORT_REDIS_MTLS" --tls --cacert "$CA" --cert "$CERT" --key "$KEY"; }

# curl opens the tunnel and carries what its input says.
curl_connect() {
  version curl --version
  local header=(); [ -z "$TENANT" ] || header=(--proxy-header "x-tenant-id: $TENANT")
  { printf 'GET whose\r\n'; sleep 0.5; printf 'AUTH globex x\r\nRESET\r\nGET whose\r\n'; sleep 0.5; printf 'QUIT\r\n'; sleep 0.3; } |
    timeout 10 curl -sS -p -x "http://127.0.0.1:$PORT_REDIS_HEADER" "${header[@]}" telnet://redis:6379 >"$TMP/out" 2>"$TMP/err"
  cat "$TMP/out" >>"$TMP/err"; tell <"$TMP/out"
}

# haproxy ends TLS, looks at the client's certificate and says its name by PROXY 2; one that it could not verify it passes on, and says so.
haproxy_front() { # port ALPN
  local port; port=$(here)
  cat >"$TMP/haproxy.cfg" <<C
defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend front
  bind 127.0.0.1:$port ssl crt $SERVER ca-file $CA verify optional crt-ignore-err all ca-ignore-err all ${2:+alpn $2}
  default_backend wall
backend wall
  server wall 127.0.0.1:$1 send-proxy-v2-ssl-cn
C
  haproxy -db -f "$TMP/haproxy.cfg" >"$TMP/haproxy.log" 2>&1 & CHILD=$!
  answers "$port"; FRONT=$port
}
haproxy_redis() { version haproxy -v; haproxy_front "$PORT_REDIS_PROXY"; ask_redis -h localhost -p "$FRONT" --tls --cacert "$CA" --cert "$CERT" --key "$KEY"; }

# stunnel gives a client without TLS its certificate.
stunnel_front() { # port protocol
  local port; port=$(here)
  { printf 'foreground = yes\npid =\n[front]\nclient = yes\naccept = 127.0.0.1:%s\nconnect = 127.0.0.1:%s\ncert = %s\nkey = %s\nCAfile = %s\nverifyChain = yes\n' "$port" "$1" "$CERT" "$KEY" "$CA"
    [ -z "${2:-}" ] || printf 'protocol = %s\n' "$2"; } >"$TMP/stunnel.conf"
  stunnel "$TMP/stunnel.conf" >"$TMP/stunnel.log" 2>&1 & CHILD=$!
  answers "$port"; FRONT=$port
}
stunnel_redis() { version stunnel -version; stunnel_front "$PORT_REDIS_MTLS"; ask_redis -h 127.0.0.1 -p "$FRONT"; }
stunnel_pg() { version stunnel -version; stunnel_front "$PORT_PG_MTLS" pgsql; ask_pg "host=127.0.0.1 port=$FRONT user=anyone dbname=shop sslmode=disable"; }

"$1"
