#!/usr/bin/env bash
# Two authorities; a server's certificate and the tenants' of the first, and of the second one that says what acme's says.
# usage: certificates.sh directory
set -euo pipefail
umask 022
mkdir -p "$1"; cd "$1"
authority() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout "$1.key" -out "$1.crt" -addext 'basicConstraints=critical,CA:TRUE'; }
signed() { # name authority subject alternatives
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$3" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 2 -out "$1.crt" -extfile <(printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$4")
  openssl pkcs8 -topk8 -nocrypt -in "$1.key" -outform DER -out "$1.der"
}
authority ours; authority theirs
signed server ours localhost 'DNS:localhost,IP:127.0.0.1'
cat server.crt server.key >server.pem
for tenant in acme globex; do signed "$tenant" ours "$tenant" "URI:spiffe://corp.example/tenant/$tenant/app"; done
signed bad theirs acme 'URI:spiffe://corp.example/tenant/acme/app'
chmod 600 ./*.key ./*.der
