-- The oracle's schema: a small service whose tenants share every table. The same text makes the shared database and each private one.
CREATE TYPE mood AS ENUM ('low', 'mid', 'high');

CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL, area int);
CREATE TABLE rates (day date, currency text, rate numeric(12,2) NOT NULL, PRIMARY KEY (day, currency));
CREATE TABLE secrets (id int PRIMARY KEY, tenant_id text NOT NULL, value text);

CREATE TABLE customers (
    tenant_id text NOT NULL, id int NOT NULL, name text NOT NULL, email text, tier mood NOT NULL DEFAULT 'mid',
    balance numeric(12,2) NOT NULL DEFAULT 0, active bool NOT NULL DEFAULT true, code text NOT NULL DEFAULT '0',
    joined date, tags text[], profile jsonb NOT NULL DEFAULT '{"n": 1, "list": []}', ref uuid, country text,
    PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, email)
);
CREATE TABLE products (
    tenant_id text NOT NULL, id int NOT NULL, sku varchar(12) NOT NULL, title text NOT NULL, price numeric(12,2) NOT NULL DEFAULT 1,
    stock int, attrs jsonb, pattern text NOT NULL DEFAULT '.', dims int[] NOT NULL DEFAULT '{}', divisor int NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, sku), CHECK (price >= -1000)
);
CREATE TABLE orders (
    id int NOT NULL, tenant_id text NOT NULL, customer_id int, status mood NOT NULL DEFAULT 'low',
    placed_at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00+00', total numeric(12,2) NOT NULL DEFAULT 0, discount int NOT NULL DEFAULT 0,
    note text, legacy text NOT NULL DEFAULT '0',
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id) ON DELETE SET NULL (customer_id)
);
CREATE TABLE order_items (
    order_id int NOT NULL, line int NOT NULL, product_id int NOT NULL, qty int NOT NULL DEFAULT 1,
    unit numeric(12,2) NOT NULL DEFAULT 0, options text, tenant_id text NOT NULL,
    PRIMARY KEY (tenant_id, order_id, line),
    FOREIGN KEY (tenant_id, order_id) REFERENCES orders (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id)
);
CREATE TABLE events (
    tenant_id text NOT NULL, id int NOT NULL, day date NOT NULL, kind text NOT NULL DEFAULT 'view', payload text NOT NULL DEFAULT '{}',
    weight int, PRIMARY KEY (tenant_id, id, day)
) PARTITION BY RANGE (day);
CREATE TABLE events_2023 PARTITION OF events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE employees (
    tenant_id text NOT NULL, id int NOT NULL, manager_id int, name text NOT NULL, salary numeric(12,2) NOT NULL DEFAULT 100,
    hired_on text NOT NULL DEFAULT '2020-01-01', dept text,
    PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, manager_id) REFERENCES employees (tenant_id, id)
);
CREATE TABLE tickets (
    tenant_id text NOT NULL, id int NOT NULL, customer_id int, title text NOT NULL, state text NOT NULL DEFAULT 'mid',
    opened timestamptz NOT NULL DEFAULT '2024-06-01 12:00:00+00', closed timestamptz, priority int NOT NULL DEFAULT 1, meta jsonb,
    token text NOT NULL DEFAULT '00000000-0000-0000-0000-000000000001',
    PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id) ON DELETE CASCADE
);
CREATE TABLE labels (
    tenant_id text NOT NULL, name text NOT NULL DEFAULT 'unnamed', color mood NOT NULL DEFAULT 'low', weight int NOT NULL DEFAULT 1,
    members text NOT NULL DEFAULT '{}', remark text, PRIMARY KEY (tenant_id, name)
);
CREATE TABLE ledger (
    id int NOT NULL, org varchar(63) NOT NULL, account int NOT NULL, amount numeric(12,2) NOT NULL DEFAULT 0, memo text,
    lo int NOT NULL DEFAULT 0, hi int NOT NULL DEFAULT 1, PRIMARY KEY (org, id)
);
CREATE TABLE notes (tenant_id text NOT NULL, id int NOT NULL, body text NOT NULL DEFAULT '', pinned bool, hex text NOT NULL DEFAULT '00',
    PRIMARY KEY (tenant_id, id));
CREATE TABLE notes_archive (archived_on date, PRIMARY KEY (tenant_id, id)) INHERITS (notes);

-- Tables whose tenant column does not exist for tenants; the private database has none.
CREATE TABLE threads (
    id int NOT NULL, title text NOT NULL, replies int NOT NULL DEFAULT 1, org_id text NOT NULL, code text NOT NULL DEFAULT '0', opened date,
    meta jsonb, PRIMARY KEY (org_id, id)
);
CREATE TABLE posts (
    id int NOT NULL, org_id text NOT NULL, thread int, body text NOT NULL, score numeric(12,2) NOT NULL DEFAULT 0,
    pattern text NOT NULL DEFAULT '.', sent timestamptz, PRIMARY KEY (org_id, id)
);

-- Tables without a tenant column: whose a row is says the project at the end of its way. Keys are unique over all tenants, so each has numbers of
-- its own: acme's are below 10000.
CREATE TABLE projects (
    id int PRIMARY KEY, tenant_id text NOT NULL, name text NOT NULL, rate int NOT NULL DEFAULT 1, due date, meta jsonb, UNIQUE (tenant_id, id)
);
CREATE TABLE tasks (
    id int PRIMARY KEY, project_id int NOT NULL REFERENCES projects ON DELETE CASCADE, title text NOT NULL, effort int NOT NULL DEFAULT 1,
    code text NOT NULL DEFAULT '0', state mood
);
CREATE TABLE steps (
    task_id int NOT NULL REFERENCES tasks ON DELETE CASCADE, id int PRIMARY KEY, body text, detail text NOT NULL DEFAULT '{}',
    spent numeric(12,2) NOT NULL DEFAULT 0, done date
);
CREATE INDEX ON tasks (project_id);
CREATE INDEX ON tasks (effort);
CREATE INDEX ON steps (task_id);

-- A key that all tenants share: its conflicts cannot be hidden, so what meets them is denied.
CREATE TABLE domains (host text PRIMARY KEY, tenant_id text NOT NULL, hits int NOT NULL DEFAULT 0);

CREATE INDEX ON orders (customer_id);
CREATE INDEX ON orders (discount);
CREATE INDEX ON tickets (priority);
CREATE INDEX ON events (kind);
CREATE INDEX ON customers (code);

-- Listed in the policy, so that both sides can ask inside a transaction: all of one tenant's rows, and every other's to the last bit.
CREATE FUNCTION oracle_own() RETURNS text LANGUAGE plpgsql STABLE SET DateStyle = "ISO" SET TimeZone = "UTC" AS $$
DECLARE t record; part text; whole text := '';
BEGIN
    FOR t IN SELECT * FROM oracle_tables() LOOP
        EXECUTE format('SELECT md5(string_agg(x::text, chr(10) ORDER BY x::text COLLATE "C")) FROM ONLY %I x WHERE %I = %L',
            t.name, t.tenant, 'acme') INTO part;
        whole := whole || t.name || ':' || coalesce(part, '-') || ' ';
    END LOOP;
    FOREACH part IN ARRAY ARRAY['threads', 'posts'] LOOP
        EXECUTE format('SELECT %L || coalesce(md5(string_agg(r, chr(10) ORDER BY r COLLATE "C")), ''-'') || '' '' FROM (SELECT (to_jsonb(x) - ''org_id'')::text AS r FROM %I x '
            'WHERE coalesce(to_jsonb(x) ->> ''org_id'', %L) = %L) x', whole || part || ':', part, 'acme', 'acme') INTO whole;
    END LOOP;
    SELECT whole || 'tasks:' || coalesce(md5(string_agg(x::text, chr(10) ORDER BY id)), '-') || ' ' INTO whole FROM tasks x WHERE project_id < 10000;
    SELECT whole || 'steps:' || coalesce(md5(string_agg(x::text, chr(10) ORDER BY id)), '-') || ' ' INTO whole FROM steps x WHERE task_id < 10000;
    RETURN whole;
END $$;
CREATE FUNCTION oracle_others() RETURNS text LANGUAGE plpgsql STABLE SET DateStyle = "ISO" SET TimeZone = "UTC" AS $$
DECLARE t record; part text; whole text := '';
BEGIN
    FOR t IN SELECT * FROM oracle_tables() LOOP
        -- An upsert on a shared key locks the row that it meets, whatever comes of it: no xmax there.
        EXECUTE format('SELECT md5(string_agg(concat_ws(chr(9), x.ctid, x.xmin, CASE %1$L WHEN ''domains'' THEN NULL ELSE x.xmax END, x), chr(10) ORDER BY x.ctid)) '
            'FROM ONLY %1$I x WHERE %2$I IS DISTINCT FROM %3$L', t.name, t.tenant, 'acme') INTO part;
        whole := whole || t.name || ':' || coalesce(part, '-') || ' ';
    END LOOP;
    FOREACH part IN ARRAY ARRAY['threads', 'posts'] LOOP
        EXECUTE format('SELECT %L || coalesce(md5(string_agg(concat_ws(chr(9), x.ctid, x.xmin, x.xmax, x), chr(10) ORDER BY x.ctid)), ''-'') || '' '' FROM %I x '
            'WHERE to_jsonb(x) ->> ''org_id'' <> %L', whole || part || ':', part, 'acme') INTO whole;
    END LOOP;
    SELECT whole || 'tasks:' || coalesce(md5(string_agg(concat_ws(chr(9), x.ctid, x.xmin, x.xmax, x), chr(10) ORDER BY x.ctid)), '-') || ' '
        INTO whole FROM tasks x WHERE project_id >= 10000;
    SELECT whole || 'steps:' || coalesce(md5(string_agg(concat_ws(chr(9), x.ctid, x.xmin, x.xmax, x), chr(10) ORDER BY x.ctid)), '-') || ' '
        INTO whole FROM steps x WHERE task_id >= 10000;
    SELECT whole || md5(string_agg(concat_ws(chr(9), x.ctid, x.xmin, x.xmax, x), chr(10) ORDER BY x.ctid)) INTO whole FROM countries x;
    SELECT whole || md5(string_agg(concat_ws(chr(9), x.ctid, x.xmin, x.xmax, x), chr(10) ORDER BY x.ctid)) INTO whole FROM rates x;
    RETURN whole;
END $$;
CREATE FUNCTION oracle_tables(OUT name text, OUT tenant text) RETURNS SETOF record LANGUAGE sql IMMUTABLE AS $$
    VALUES ('customers', 'tenant_id'), ('products', 'tenant_id'), ('orders', 'tenant_id'), ('order_items', 'tenant_id'),
        ('events_2023', 'tenant_id'), ('events_2024', 'tenant_id'), ('events_rest', 'tenant_id'), ('employees', 'tenant_id'),
        ('tickets', 'tenant_id'), ('labels', 'tenant_id'), ('ledger', 'org'), ('notes', 'tenant_id'), ('notes_archive', 'tenant_id'),
        ('domains', 'tenant_id'), ('projects', 'tenant_id')
$$;
