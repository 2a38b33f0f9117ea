"""The PostgreSQL half of the matrix: a private database, a shared one, and the wall before the shared one."""
import os
import re
import sys

from servers import Postgres, Wall

COMPARED = {
    "things": "SELECT id, {name}, size, big, price, at, day, code, data, raw, tags, sizes, feeling, good, ratio FROM things WHERE {own} ORDER BY id",
    "parts": "SELECT thing_id, {label} FROM parts WHERE {own} ORDER BY thing_id, label",
}
SILENT = "third"


class Kind:
    TENANTS = ["acme", "globex"]
    COLUMNS = ["connect", "types", "prepared", "transactions", "errors", "bulk", "introspection", "rows"]

    def __init__(self, work, here):
        self.server = Postgres(work)
        with open(os.path.join(here, "schema.sql"), encoding="utf-8") as f:
            schema = f.read()
        self.server.psql("postgres", "CREATE ROLE app LOGIN")
        for database, column, key in (("private", "", ""), ("shared", "tenant_id text NOT NULL, ", "tenant_id, ")):
            self.server.psql("postgres", f"CREATE DATABASE {database}")
            # What a tenant sees belongs to the role that it connects as; so do the private tables.
            owner = "app" if database == "private" else "postgres"
            self.server.psql(database, f"GRANT CREATE ON SCHEMA public TO app; SET ROLE {owner}; " + schema.format(column=column, key=key))
            self.server.psql(database, "REVOKE CREATE ON SCHEMA public FROM app; GRANT SELECT, INSERT, UPDATE, DELETE ON things, parts TO app")
        self.server.psql("shared", f"INSERT INTO things (tenant_id, id, name, size) SELECT '{SILENT}', n, 'mark-{SILENT} ' || n, n "
                         f"FROM generate_series(1, 2200) n; INSERT INTO parts (tenant_id, thing_id, label) SELECT '{SILENT}', n, "
                         f"'mark-{SILENT}' FROM generate_series(1, 300) n")
        self.silent = self.rows("shared", SILENT)
        self.expected_lines = {}
        with open(os.path.join(here, "expected.txt"), encoding="utf-8") as f:
            for line in f.read().splitlines():
                step, _, text = line.partition(": ")
                self.expected_lines.setdefault(step, []).append(text)
        with open(os.path.join(here, "postgres", "policy.yaml"), encoding="utf-8") as f:
            policy = f.read()
        startup = "startup: { trust: [loopback] }"
        identities = {"startup": startup, "hidden": startup, **{t: f"static: {{ tenant: {t} }}" for t in self.TENANTS}}
        listeners = {n: ("postgres", "db", f"drivers-{n}", i.split(":")[0]) for n, i in identities.items()}
        policies = {f"drivers-{n}": policy.replace("NAME", f"drivers-{n}").replace("IDENTITY", i) for n, i in identities.items()}
        policies["drivers-hidden"] = policies["drivers-hidden"].replace("{ scoped: tenant_id }", "{ scoped: { column: tenant_id, hidden: true } }")
        upstream = f"db: {{ address: '127.0.0.1:{self.server.port}', database: shared, user: app }}"
        self.wall = Wall(work, listeners, [upstream], policies)

    def rows(self, database, tenant):
        own = f"tenant_id = '{tenant}'" if database == "shared" else "true"
        mark = self.mark(tenant if database == "shared" else None)
        cut = {c: f"replace({c}, '{mark}', 'mark')" for c in ("name", "label")}
        return {t: self.server.psql(database, sql.format(own=own, **cut)) for t, sql in COMPARED.items()}

    def reset(self):
        self.server.psql("private", "TRUNCATE things, parts")
        self.server.psql("shared", f"DELETE FROM parts WHERE tenant_id <> '{SILENT}'; DELETE FROM things WHERE tenant_id <> '{SILENT}'")

    def before_tenants(self):
        """The third tenant's rows are there from the start."""

    @staticmethod
    def mark(tenant):
        return f"mark-{tenant or 'private'}"

    def expected(self, driver):
        skipped = driver.get("without", [])
        return {s: [l for l in lines if f"{s}: {l}" not in skipped] for s, lines in self.expected_lines.items()}

    def direct(self, _driver):
        return self.environment(self.server.port, "private", "", "", None)

    def tenant(self, driver, tenant):
        if driver.get("tenant", "options") == "options":
            return self.environment(self.wall.ports["hidden" if driver.get("hidden") else "startup"], "shared", f"-c partywall.tenant={tenant}", tenant, tenant)
        return self.environment(self.wall.ports[tenant], "shared", "", "", tenant)

    def environment(self, port, database, options, name, marked):
        return {"PGHOST": "127.0.0.1", "PGPORT": port, "PGUSER": "app", "PGDATABASE": database, "TENANT_OPTIONS": options, "TENANT": name,
                "MARK": self.mark(marked), "PGPASSWORD": "unused"}

    def normal(self, tenant, driver):
        """How a line of this session reads without its own mark and the column that the shared tables have more, unless it is hidden."""
        def normal(line):
            line = line.replace(self.mark(tenant), "mark")
            if tenant and line.startswith("introspection: ") and not driver.get("hidden"):
                if re.match(r"introspection: (column |reference \S+ )?tenant_id[ |]|.*\.tenant_id$", line):
                    return ""
                line = re.sub(r"\btenant_id, ?|, ?tenant_id\b", "", line)
            return re.sub(r"\b(private|shared)\b", "database", line)
        return normal

    def foreign(self, tenant, lines):
        others = [self.mark(t) for t in [None, *self.TENANTS, SILENT] if t != tenant]
        return next((line for line in lines if any(mark in line for mark in others)), None)

    def verdict(self, _driver):
        """What is wrong with the rows that the driver left."""
        private = self.rows("private", None)
        for tenant in self.TENANTS:
            for table, rows in self.rows("shared", tenant).items():
                if rows != private[table]:
                    yield f"{table} of {tenant} has {len(rows.splitlines())} rows, the private one {len(private[table].splitlines())}, or others"
        if self.rows("shared", SILENT) != self.silent:
            yield "a third tenant's rows have changed"
        if self.server.psql("shared", f"SELECT count(*) FROM things WHERE tenant_id NOT IN ('acme', 'globex', '{SILENT}')") != "0":
            yield "there are rows of nobody"

    def quiet(self):
        """The wall has lived, and nothing in it panicked."""
        if self.wall.child.poll() is not None or "panicked" in self.wall.said():
            sys.exit(f"the wall has ended or panicked:\n{self.wall.said()}")
