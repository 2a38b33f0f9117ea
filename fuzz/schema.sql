-- What the fuzz targets judge against.
CREATE TABLE orders (id int NOT NULL, tenant_id text NOT NULL, customer int, total numeric, note text, PRIMARY KEY (tenant_id, id));
CREATE TABLE items (order_id int NOT NULL, line int NOT NULL, sku text, qty int, tenant_id text NOT NULL, PRIMARY KEY (tenant_id, order_id, line));
CREATE TABLE loose (id int, tenant_id text, note text, data jsonb, at timestamptz, tags text[]);
CREATE TABLE "Quoted" ("Id" int, tenant_id text NOT NULL, "a""b" text);
CREATE TABLE notes (id int PRIMARY KEY, org_id text NOT NULL, title text, stars int DEFAULT 1, parent int REFERENCES notes, UNIQUE (org_id, title));
CREATE TABLE marks (id int PRIMARY KEY, note_id int NOT NULL REFERENCES notes ON DELETE CASCADE, mark text);
CREATE TABLE parts (mark_id int NOT NULL REFERENCES marks ON DELETE CASCADE, qty int, note text);
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE secrets (id int, value text);
CREATE FUNCTION slugify(text) RETURNS text LANGUAGE sql AS 'select $1';
