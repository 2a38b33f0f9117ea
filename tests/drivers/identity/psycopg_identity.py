"""psycopg: SCRAM-SHA-256-PLUS over TLS, certificates, and direct TLS, by the argument."""
import os
import sys

import psycopg

env, way = os.environ, sys.argv[1]
where = {"host": "localhost", "dbname": "shop", "sslmode": "verify-full", "sslrootcert": env["CA"], "connect_timeout": 10}
certificate = {"port": env["PORT_PG_MTLS"], "user": "anyone", "sslcert": env["CERT"], "sslkey": env["KEY"]}
ways = {
    "scram": {"port": env["PORT_PG_PASSWORD"], "user": env["NAME"], "password": env["PASSWORD"], "channel_binding": "require"},
    "mtls": certificate,
    "direct": {**certificate, "sslnegotiation": "direct"},
}
print(f"version: {psycopg.__version__}, libpq {psycopg.pq.version() // 10000}")
try:
    connection = psycopg.connect(**where, **ways[way], autocommit=True)
except psycopg.OperationalError as error:
    print(f"refused: {str(error).splitlines()[0]}")
    sys.exit()
print("named:", *connection.execute("SELECT name FROM whose").fetchone())
for later in ("SET partywall.tenant = 'globex'", "SELECT set_config('partywall.tenant', 'third', false)", "RESET ALL", "DISCARD ALL"):
    try:
        connection.execute(later)
    except psycopg.Error:
        pass
print("later:", *connection.execute("SELECT name FROM whose").fetchone())
