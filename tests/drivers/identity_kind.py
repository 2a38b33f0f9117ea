"""The ways of saying who one is, with real clients and proxies: each tenant gets its own, a forged or absent identity nothing."""
import os
import sys

from servers import Postgres, Redis, Wall, run

WHO = ["acme", "globex"]
SOURCES = {
    "password": "password: { users: ../users.yaml }",
    "mtls": "mtls: { uri: 'spiffe://corp.example/tenant/{tenant}/*' }",
    "header": "header: { name: x-tenant-id, trust: [loopback] }",
    "proxy": "proxy: { ssl_cn: '{tenant}' }",
    "statement": "statement: { trust: [loopback], sessions: 2 }",
}
POLICY = """version: 1
name: NAME
tenants: { id: '[a-z0-9][a-z0-9-]{0,62}' }
identity: { SOURCE }
postgres:
  layout: rows
  tables: { public.whose: { scoped: tenant_id } }
redis: { prefix: '{tenant}:' }
"""
TLS = "tls: {{ cert: ../certificates/server.crt, key: ../certificates/server.key{more} }}"
LISTENERS = {
    "password": TLS.format(more=""),
    "mtls": TLS.format(more=", client_ca: ../certificates/ours.crt, require: true"),
    "header": "tunnel: http",
    "proxy": "proxy_protocol: { trust: [loopback] }",
}


class Kind:
    COLUMNS = ["named", "refused", "later"]

    def __init__(self, work, here):
        home = os.path.join(work, "identity")
        os.makedirs(home)
        os.chmod(home, 0o755)
        self.home, self.certificates = home, os.path.join(home, "certificates")
        run("bash", os.path.join(here, "identity", "certificates.sh"), self.certificates)
        self.postgres, self.redis = Postgres(home), Redis(home)
        self.postgres.psql("postgres", "CREATE DATABASE shop; ")
        secrets = self.postgres.psql("postgres", "; ".join(f"CREATE ROLE {t} PASSWORD 'secret of {t}'" for t in WHO) + "; CREATE ROLE app LOGIN; "
                                     "SELECT rolname || '|' || rolpassword FROM pg_authid WHERE rolname IN ('acme', 'globex')")
        with open(os.path.join(home, "users.yaml"), "w", encoding="utf-8") as f:
            f.writelines("app-{0}: {{ tenant: {0}, password: '{1}' }}\n".format(*line.split("|", 1)) for line in secrets.splitlines())
        self.postgres.psql("shop", "CREATE TABLE whose (tenant_id text NOT NULL, name text); GRANT ALL ON whose TO app; "
                           "INSERT INTO whose SELECT t, 'mark-' || t FROM unnest('{acme,globex,third}'::text[]) t")
        for tenant in [*WHO, "third"]:
            self.redis.cli("SET", f"{tenant}:whose", f"mark-{tenant}")
        listeners = {}
        for source, extra in LISTENERS.items():
            listeners[f"pg-{source}"] = ("postgres", "pg", f"by-{source}", source, extra)
            listeners[f"redis-{source}"] = ("redis", "r", f"by-{source}", source, extra)
        listeners["pg-statement"] = ("postgres", "lent", "by-statement", "statement")
        shop = f"address: '127.0.0.1:{self.postgres.port}', database: shop, user: app"
        upstreams = [f"pg: {{ {shop} }}", f"lent: {{ {shop}, pool: {{ mode: transaction, size: 4 }} }}", f"r: {{ address: '127.0.0.1:{self.redis.port}' }}"]
        policies = {f"by-{s}": POLICY.replace("NAME", f"by-{s}").replace("SOURCE", text) for s, text in SOURCES.items()}
        with open(os.path.join(home, "users.yaml"), encoding="utf-8") as f:
            self.wall = Wall(home, listeners, upstreams, policies, {"users.yaml": f.read()})

    def environment(self, who):
        """`bad` has a certificate of another authority, another password, and no header."""
        good = who in WHO
        files = {name: os.path.join(self.certificates, f"{who}.{end}") for name, end in (("CERT", "crt"), ("KEY", "key"), ("DER", "der"))}
        return {"WHO": who, "CA": os.path.join(self.certificates, "ours.crt"), "SERVER": os.path.join(self.certificates, "server.pem"), **files,
                "NAME": f"app-{who if good else 'acme'}", "PASSWORD": f"secret of {who}", "TENANT": who if good else "", "WORK": self.home,
                **{"PORT_" + name.replace("-", "_").upper(): port for name, port in self.wall.ports.items()}}

    def examine(self, driver, result, run_program):
        """Fills the columns of a driver's result."""
        for who in WHO:
            code, lines, errors = run_program(driver, self.environment(who))
            result.version = next((l.partition(": ")[2] for l in lines if l.startswith("version: ")), result.version)
            others = [l for l in [*lines, *errors.splitlines()] if any(f"mark-{t}" in l for t in [*WHO, "third"] if t != who)]
            for column in ("named", "later"):
                if f"{column}: mark-{who}" not in lines or others:
                    said = [l for l in [*lines, *errors.splitlines()] if l.strip()] or [f"it ended with {code}"]
                    result.fail(column, f"{who}: {others[:1] or said[-3:]}")
                result.columns.setdefault(column, "pass")
        code, lines, errors = run_program(driver, self.environment("bad"))
        if any("mark-" in l for l in [*lines, *errors.splitlines()]) or not any(l.startswith("refused: ") and l[9:].strip() for l in lines):
            result.fail("refused", f"with a forged or no identity: {[*lines, *errors.splitlines()][-3:]}")
        result.columns.setdefault("refused", "pass")

    def quiet(self):
        """The wall has lived, and nothing in it panicked."""
        if self.wall.child.poll() is not None or "panicked" in self.wall.said():
            sys.exit(f"the wall has ended or panicked:\n{self.wall.said()}")
