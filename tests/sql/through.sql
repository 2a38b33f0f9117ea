-- The schema of through.txt: keys that lack the tenant, tables without a tenant column.
CREATE TABLE orders (id int PRIMARY KEY, tenant_id text NOT NULL, note text, previous int REFERENCES orders (id));
CREATE TABLE items (order_id int NOT NULL REFERENCES orders ON DELETE CASCADE, line int NOT NULL, sku text, qty int NOT NULL DEFAULT 1,
    PRIMARY KEY (order_id, line), UNIQUE (sku));
CREATE TABLE parts (order_id int NOT NULL, line int NOT NULL, name text, country text,
    CONSTRAINT parts_of FOREIGN KEY (order_id, line) REFERENCES items (order_id, line));
CREATE TABLE remarks (id serial PRIMARY KEY, order_id int REFERENCES orders, text text, box int);
CREATE TABLE boxes (id int UNIQUE, tenant_id text NOT NULL, order_id bigint REFERENCES orders, label varchar(8));
CREATE TABLE loose (box int, what text);
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE sums (order_id int NOT NULL REFERENCES orders ON DELETE CASCADE, amount numeric, big bigint, day date, at timestamp);
CREATE TABLE rates (code text PRIMARY KEY, factor double precision, day date);
CREATE TABLE things (id int PRIMARY KEY, tenant_id text NOT NULL, raw int, note text, box int GENERATED ALWAYS AS (raw + 1) STORED REFERENCES boxes (id));
CREATE TABLE rooms (id int PRIMARY KEY, tenant_id text NOT NULL, note text);
CREATE TABLE shelves (id int PRIMARY KEY, tenant_id text NOT NULL, room int REFERENCES rooms ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE books (id int PRIMARY KEY, tenant_id text NOT NULL, shelf int DEFAULT 1 REFERENCES shelves ON DELETE SET DEFAULT);
CREATE TABLE labels (id int PRIMARY KEY, tenant_id text NOT NULL, room int DEFAULT 1 REFERENCES rooms ON UPDATE SET DEFAULT);
