"""psycopg: SCRAM-SHA-256-PLUS over TLS, certificates, direct TLS, and a header before each statement over a pool, by the argument."""
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
ENDED = "the earlier session of this tenant has ended"


def statement():
    """Others' statements make room of this tenant's session: it is told so once, and the rest is as before."""
    header, warned = f"/*tenant='{env['TENANT']}'*/ " if env["TENANT"] else "", []
    connection = psycopg.connect(host="127.0.0.1", port=env["PORT_PG_STATEMENT"], dbname="shop", user="anyone", sslmode="disable", autocommit=True)
    connection.add_notice_handler(lambda notice: warned.append(notice.message_primary))
    mine = lambda: connection.execute(header + "SELECT name FROM whose WHERE name <> %s", ["none"]).fetchone()
    try:
        print("named:", *mine())
    except psycopg.Error as error:
        print(f"refused: {str(error).splitlines()[0]}")
        return
    connection.execute(header + "SET application_name = 'mine'")
    for other in ("one", "two", "three"):
        for _ in range(8):
            connection.execute(f"/*tenant='{other}'*/ SELECT count(*) FROM whose")
        connection.execute(f"/*tenant='{other}'*/ SET application_name = 'other'")
    warned.clear()
    name, told = mine(), list(warned)
    mine()
    print("later:" if told == warned == [ENDED] else f"later! {told}, then {warned}", *name)


print(f"version: {psycopg.__version__}, libpq {psycopg.pq.version() // 10000}")
if way == "statement":
    statement()
    sys.exit()
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
