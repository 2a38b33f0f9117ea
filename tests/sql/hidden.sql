-- The schema of hidden.txt: tables whose tenant column does not exist for tenants.
CREATE TABLE notes (id int NOT NULL, org_id text NOT NULL, title text, stars int DEFAULT 1, PRIMARY KEY (org_id, id));
CREATE TABLE tags (org_id text NOT NULL, note_id int NOT NULL, name text NOT NULL, PRIMARY KEY (org_id, note_id, name),
    FOREIGN KEY (org_id, note_id) REFERENCES notes (org_id, id));
CREATE UNIQUE INDEX notes_id ON notes (id);
CREATE TABLE marks (note_id int NOT NULL REFERENCES notes (id) ON DELETE CASCADE, mark text);
CREATE TABLE orders (id int PRIMARY KEY, org_id text NOT NULL, note text);
CREATE TABLE countries (code text PRIMARY KEY, org_id text);
CREATE FUNCTION some_notes(int) RETURNS SETOF notes LANGUAGE sql AS 'SELECT * FROM notes WHERE id > $1';
CREATE FUNCTION one_order() RETURNS orders LANGUAGE sql AS 'SELECT * FROM orders LIMIT 1';
