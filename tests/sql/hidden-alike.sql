-- One statement a line, through the wall and on a private database without the column: rows, names, tags and errors must be equal.
-- Of a line that begins with `?` the SQLSTATE and the message are. A line that begins with `~` is refused by the wall (0A000), whatever a private database says.
SELECT * FROM notes ORDER BY id
SELECT n.*, 1 AS one FROM notes n ORDER BY 1
TABLE notes ORDER BY 1
SELECT n FROM notes n ORDER BY n
SELECT row_to_json(notes), to_jsonb(notes), notes::text FROM notes ORDER BY id
SELECT count(notes), count(DISTINCT notes), bool_or(notes IS NULL), max(notes::text) FROM notes
SELECT (n).title, (n).* FROM notes n ORDER BY id
SELECT ROW(n.*), ROW(n.*) = n FROM notes n ORDER BY id
SELECT DISTINCT n.* FROM notes n ORDER BY 1
SELECT * FROM notes NATURAL JOIN tags ORDER BY id, name
SELECT * FROM notes JOIN (SELECT note_id AS id, name FROM tags) t USING (id) ORDER BY id, name
SELECT * FROM notes n LEFT JOIN tags t ON t.note_id = n.id ORDER BY n.id, name
SELECT * FROM tags t RIGHT JOIN notes n ON t.note_id = n.id AND t.name <> 'b' ORDER BY n.id, name
SELECT * FROM notes n FULL JOIN tags t ON t.note_id = n.id + 1 ORDER BY n.id, t.name
SELECT * FROM notes a CROSS JOIN tags b ORDER BY a.id, b.note_id, b.name
SELECT * FROM notes AS n (a, b) ORDER BY a
SELECT * FROM notes AS n (a, b, c) ORDER BY a
SELECT * FROM notes AS n (a, b, c, d) ORDER BY a
SELECT s.* FROM (SELECT * FROM notes) s ORDER BY 1
SELECT s FROM (SELECT * FROM notes) s ORDER BY 1
SELECT * FROM notes UNION ALL SELECT note_id, name, 5 FROM tags ORDER BY 1, 2
SELECT * FROM notes UNION SELECT * FROM tags
SELECT * FROM notes EXCEPT SELECT * FROM notes
SELECT * FROM ONLY notes ORDER BY id DESC LIMIT 1
SELECT * FROM notes WHERE title::int > 10 ORDER BY id
SELECT * FROM notes WHERE 10 / stars > 0 ORDER BY id
SELECT n.title::int FROM notes n JOIN tags t ON t.note_id = n.id AND n.title::int > 0 ORDER BY 1
SELECT id FROM notes n WHERE EXISTS (SELECT 1 FROM tags t WHERE t.note_id = n.id AND n.title::int > 10) ORDER BY 1
SELECT id, (SELECT string_agg(name, ',' ORDER BY name) FROM tags WHERE note_id = id) FROM notes ORDER BY 1
SELECT title, count(*) FROM notes GROUP BY title ORDER BY 1
SELECT notes, count(*) FROM notes GROUP BY notes ORDER BY 1
SELECT n.*, count(t.name) FROM notes n LEFT JOIN tags t ON t.note_id = n.id GROUP BY n.id ORDER BY n.id
SELECT title, stars + 1 AS more FROM notes GROUP BY id ORDER BY stars
SELECT id AS pk, title, count(*) FROM notes GROUP BY 1 ORDER BY stars, 1
SELECT title, 1 FROM notes GROUP BY 2
SELECT id FROM notes GROUP BY 7
SELECT n.title FROM tags t RIGHT JOIN notes n ON t.note_id = n.id GROUP BY n.id, t.name HAVING n.stars > 1 ORDER BY n.id, t.name
SELECT t.name FROM tags t GROUP BY t.note_id
SELECT title FROM notes GROUP BY stars
SELECT n.title FROM notes n GROUP BY ROLLUP (n.id)
SELECT *, row_number() OVER (ORDER BY id) FROM notes ORDER BY id
SELECT * FROM notes, LATERAL (SELECT notes.id + 1 AS next, notes.*) s ORDER BY 1
WITH w AS (SELECT * FROM notes) SELECT * FROM w ORDER BY 1
WITH RECURSIVE w AS (SELECT n.*, 1 AS depth FROM notes n WHERE id = 1 UNION ALL SELECT n.*, depth + 1 FROM notes n JOIN w ON n.id = w.id + 1) SELECT * FROM w ORDER BY 1
SELECT title AS org_id FROM notes ORDER BY org_id
SELECT s.org_id FROM (SELECT title AS org_id FROM notes) s ORDER BY 1
SELECT orders.org_id, title FROM orders, notes WHERE notes.id = orders.id
SELECT org_id FROM orders JOIN notes USING (id)
SELECT * FROM notes NATURAL JOIN orders
SELECT org_id FROM notes
SELECT n.org_id FROM notes n
SELECT (n).org_id FROM notes n
SELECT 1 FROM notes WHERE org_id = 'acme'
SELECT 1 FROM notes ORDER BY org_id
SELECT 1 FROM notes GROUP BY org_id
SELECT * FROM notes JOIN tags USING (org_id)
SELECT orgid FROM notes
SELECT n.orgid FROM notes n
SELECT * FROM notes WHERE id = 1 FOR UPDATE
SELECT * FROM notes n JOIN tags t ON t.note_id = n.id WHERE n.id = 1 ORDER BY name FOR SHARE OF n
SELECT id FROM notes ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
SELECT row_to_json(m) FROM marks m
SELECT * FROM marks JOIN boxes ON boxes.id = box
INSERT INTO marks VALUES (1, 'n'), (2, 'o')
SELECT * FROM shown ORDER BY 1
SELECT s FROM shown s ORDER BY id
SELECT org_id FROM shown
SELECT * FROM sums
SELECT proargtypes[0]::regtype, (proargtypes)[1]::regtype::text FROM pg_proc WHERE proname = 'int4pl'
SELECT s, s.stars / s.notes AS mean FROM sums s WHERE 10 / (s.stars - 7) < 0
SELECT org_id FROM sums
SELECT n.id, s.tags FROM notes n LEFT JOIN sums s ON s.notes = n.id ORDER BY 1
SELECT * FROM marks ORDER BY mark
INSERT INTO notes VALUES (10, 'x', 4)
INSERT INTO notes VALUES (11, 'y') RETURNING *
INSERT INTO notes (title, id) VALUES ('z', 12), (DEFAULT, 13) RETURNING notes.*, id AS org_id
INSERT INTO notes DEFAULT VALUES
?INSERT INTO notes VALUES (14, 'x', 2, 'acme')
INSERT INTO notes (id, org_id) VALUES (15, 'acme')
INSERT INTO notes (id) VALUES (15) RETURNING org_id
INSERT INTO notes (id, title) VALUES (1, 'again')
INSERT INTO notes VALUES (16, 'full', 100)
INSERT INTO notes (id) VALUES (NULL)
INSERT INTO tags VALUES (99, 'none')
INSERT INTO tags VALUES (1, 'a')
INSERT INTO notes SELECT id + 20, title, stars FROM notes WHERE id < 3 RETURNING id
INSERT INTO notes SELECT * FROM notes WHERE id = 1
INSERT INTO notes SELECT id + 30, title FROM notes WHERE id < 3
INSERT INTO notes SELECT n.* FROM notes n WHERE false
INSERT INTO tags SELECT s.* FROM (SELECT * FROM tags UNION SELECT id, 'u' FROM notes WHERE id = 2) s WHERE s.name = 'u' RETURNING *
INSERT INTO notes SELECT n.* FROM notes n JOIN tags t ON t.note_id = n.id + 100
INSERT INTO notes VALUES (1, 'up') ON CONFLICT (id) DO UPDATE SET title = excluded.title || notes.title RETURNING *
INSERT INTO notes VALUES (1, 'up') ON CONFLICT DO NOTHING
INSERT INTO notes VALUES (1, 'up') ON CONFLICT ON CONSTRAINT notes_pkey DO UPDATE SET stars = notes.stars + excluded.stars WHERE notes.id = 1 RETURNING stars
INSERT INTO tags VALUES (1, 'a'), (1, 'c') ON CONFLICT (note_id, name) DO NOTHING
?INSERT INTO notes (id) VALUES (1) ON CONFLICT (org_id) DO NOTHING
INSERT INTO notes VALUES (1, 'up') ON CONFLICT (id) DO UPDATE SET title = excluded.org_id
INSERT INTO notes VALUES (1, 'up') ON CONFLICT (id) DO UPDATE SET org_id = 'globex'
UPDATE notes SET title = 'seen' WHERE id = 10 RETURNING *
WITH u AS (UPDATE notes n SET stars = t.note_id FROM tags t WHERE t.note_id = n.id AND t.name = 'a' RETURNING *) SELECT * FROM u ORDER BY id
UPDATE notes n SET stars = t.note_id FROM tags t WHERE t.note_id = n.id AND t.name = 'b' RETURNING *
UPDATE notes n SET (title, stars) = (SELECT name, 7 FROM tags WHERE note_id = n.id LIMIT 1) WHERE id = 1 RETURNING n.*, n.stars
UPDATE notes SET title = orders.org_id FROM orders WHERE orders.id = notes.id RETURNING notes.*
UPDATE notes SET title = (SELECT org_id FROM orders LIMIT 1) WHERE id = 11 RETURNING title
WITH u AS (UPDATE notes SET title = (SELECT count(*)::text FROM notes n WHERE n.id < notes.id) RETURNING id, title) SELECT * FROM u ORDER BY id
UPDATE notes SET org_id = 'globex'
UPDATE notes SET title = org_id
UPDATE notes SET title = notes.org_id
UPDATE notes SET title = 'x' WHERE org_id = 'globex'
UPDATE notes SET title = 'x' RETURNING org_id
UPDATE notes SET stars = 100 WHERE id = 1
UPDATE notes SET orgid = 1
UPDATE notes SET title = 'x' WHERE orgid = 1
UPDATE notes SET id = 2 WHERE id = 10
UPDATE tags SET note_id = 77 WHERE name = 'b'
DELETE FROM notes WHERE id = 1
DELETE FROM notes WHERE id = 13 RETURNING *
DELETE FROM notes USING (SELECT id AS x FROM notes) s WHERE x = notes.id AND id > 30 RETURNING *
DELETE FROM notes WHERE org_id = 'globex'
DELETE FROM notes n WHERE n.org_id = 'globex'
WITH d AS (DELETE FROM notes WHERE id > 20 RETURNING *) SELECT * FROM d ORDER BY 1
WITH u AS (UPDATE notes SET stars = 3 WHERE id = 11 RETURNING *) SELECT u.*, n.stars FROM u JOIN notes n USING (id)
MERGE INTO notes n USING (VALUES (11, 'merged'), (40, 'new')) v (id, title) ON n.id = v.id WHEN MATCHED THEN UPDATE SET title = v.title WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.title)
MERGE INTO notes n USING tags t ON n.id = t.note_id AND t.name = 'a' WHEN MATCHED AND n.stars > 1 THEN UPDATE SET stars = 1
MERGE INTO notes n USING tags t ON n.org_id = t.name WHEN MATCHED THEN DELETE
COPY notes TO STDOUT
COPY notes (title, id) TO STDOUT WITH (FORMAT csv, HEADER)
COPY (SELECT * FROM notes ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)
COPY notes (org_id) TO STDOUT
COPY notes (id, org_id) FROM STDIN
CREATE TEMP TABLE kept AS SELECT * FROM notes WHERE id < 3
SELECT * FROM kept ORDER BY 1
INSERT INTO kept SELECT * FROM notes WHERE id = 10
DROP TABLE kept
BEGIN
DECLARE c CURSOR FOR SELECT * FROM notes ORDER BY id
FETCH 2 FROM c
MOVE 1 FROM c
CLOSE c
DECLARE d CURSOR FOR SELECT * FROM notes WHERE id = 10 FOR UPDATE
FETCH d
UPDATE notes SET stars = 9 WHERE CURRENT OF d RETURNING *
COMMIT
PREPARE p AS SELECT * FROM notes WHERE id = $1
EXECUTE p(10)
DEALLOCATE p
LOCK TABLE notes IN ROW SHARE MODE
SELECT column_name, data_type, column_default, is_nullable FROM information_schema.columns WHERE table_name IN ('notes', 'tags') ORDER BY table_name, column_name
SELECT attname FROM pg_attribute WHERE attrelid IN ('notes'::regclass, 'tags'::regclass) AND attnum > 0 AND NOT attisdropped ORDER BY 1
SELECT c.relname, a.attname, a.attnum FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relname IN ('notes_pkey', 'tags_pkey', 'notes_stars', 'notes_title_key') ORDER BY 1, 3
SELECT relname FROM pg_class WHERE relname LIKE 'notes%' OR relname LIKE 'tags%' ORDER BY 1
SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('notes', 'tags') ORDER BY 1
SELECT c.relname, i.indnatts, i.indnkeyatts, array_length(i.indkey::int2[], 1), array_length(i.indclass::oid[], 1), pg_get_indexdef(i.indexrelid) AS d, pg_get_indexdef(i.indexrelid, 1, true) AS d1, pg_get_indexdef(i.indexrelid, 2, true) AS d2 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE 'notes%' OR c.relname LIKE 'tags%' ORDER BY 1
SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE c.relname LIKE 'notes%' OR c.relname LIKE 'tags%' ORDER BY 1, 2
SELECT conname, contype, array_length(conkey, 1), array_length(confkey, 1), pg_get_constraintdef(oid) AS d, pg_get_constraintdef(oid, true) AS p FROM pg_constraint WHERE conrelid IN ('notes'::regclass, 'tags'::regclass) AND contype <> 'n' ORDER BY 1
SELECT constraint_name, column_name, ordinal_position, position_in_unique_constraint FROM information_schema.key_column_usage WHERE table_name IN ('notes', 'tags') ORDER BY 1, 3
SELECT constraint_name, constraint_type FROM information_schema.table_constraints WHERE table_name IN ('notes', 'tags') AND constraint_name NOT LIKE '%not_null' ORDER BY 1
SELECT constraint_name, table_name, column_name FROM information_schema.constraint_column_usage WHERE table_name IN ('notes', 'tags') AND constraint_name NOT LIKE '%not_null' ORDER BY 1, 2, 3
SELECT table_name, view_definition FROM information_schema.views WHERE table_name = 'plain'
SELECT viewname, definition FROM pg_views WHERE viewname = 'plain' ORDER BY 1
SELECT * FROM plain ORDER BY 1
SELECT col_description('notes'::regclass, 1) AS c, obj_description('notes'::regclass, 'pg_class') AS o
SELECT objsubid > 0, description FROM pg_description WHERE objoid = 'notes'::regclass ORDER BY 2
SELECT pg_get_serial_sequence('notes', 'org_id')
SELECT pg_get_serial_sequence('notes', 'id')
SELECT ctid IS NULL AS none, n.* FROM notes n ORDER BY 2
INSERT INTO parts VALUES (1, 'a'), (7, 'b') RETURNING tableoid::regclass, *
SELECT tableoid::regclass, * FROM parts ORDER BY id
SELECT p.tableoid::regclass AS t, min(p.id) FROM parts p GROUP BY p.tableoid ORDER BY t
SELECT tableoid::regclass, * FROM ONLY parts
SELECT tableoid::regclass, * FROM parts_2
UPDATE parts SET id = 8 - id RETURNING tableoid::regclass, id
UPDATE parts SET v = p.v FROM parts p WHERE p.id = parts.id AND p.tableoid = 'parts_1'::regclass RETURNING *, p.tableoid::regclass, p.v, parts.tableoid::regclass AS t
DELETE FROM parts WHERE tableoid = 'parts_2'::regclass RETURNING *
SELECT relname, p.* FROM parts p, pg_class WHERE p.tableoid = pg_class.oid
SELECT n.xmin IS NULL AS none, n.cmin = n.cmax AS same, n.xmax IS NULL AS locked FROM notes n
SELECT tableoid::regclass, * FROM notes ORDER BY 2
SELECT tableoid::regclass::text AS t, count(*) FROM notes GROUP BY tableoid ORDER BY t
SELECT tableoid = 'notes'::regclass AS own FROM ONLY notes n WHERE n.tableoid <> 0
SELECT DISTINCT tableoid::regclass FROM notes
SELECT tableoid::regclass AS t FROM notes UNION ALL SELECT tableoid::regclass FROM tags
SELECT n.tableoid::regclass, t.tableoid::regclass AS o, * FROM notes n LEFT JOIN tags t ON t.note_id = n.id ORDER BY n.id, t.name
SELECT a.id, b.id FROM notes a JOIN notes b ON a.ctid = b.ctid ORDER BY 1
SELECT * FROM notes a FULL JOIN notes b ON a.ctid = b.ctid ORDER BY a.id
SELECT * FROM notes WHERE ctid = (SELECT min(ctid) FROM notes WHERE id = 2)
SELECT count(*) FROM notes WHERE ctid = '(999,1)'
SELECT * FROM notes n WHERE ctid IN (SELECT m.ctid FROM notes m WHERE m.id < 3) ORDER BY id
SELECT id FROM notes ORDER BY ctid = '(0,0)', id
WITH c AS (SELECT id AS ctid FROM notes) SELECT ctid FROM c ORDER BY ctid
SELECT title AS ctid FROM notes ORDER BY ctid
SELECT n.partywall_ctid FROM notes n
SELECT * FROM notes a JOIN tags b USING (ctid)
?SELECT ctid FROM notes a JOIN tags b ON true
SELECT n.ctid FROM notes AS n (a, b, c, d)
SELECT a, b FROM notes AS n (a, b) WHERE n.ctid IS NOT NULL ORDER BY 1
SELECT b.xmin FROM shown b
SELECT id, ctid IS NOT NULL AS is, tableoid::regclass FROM notes WHERE id = 1 FOR UPDATE
UPDATE notes SET stars = stars FROM tags WHERE tags.note_id = id AND id = 2 AND tags.ctid IS NOT NULL AND name < 'c' AND tags.name > (SELECT min(name) FROM tags) RETURNING *, notes.ctid IS NULL AS none
SELECT o.ctid IS NULL AS none, n.ctid IS NULL AS nothing, * FROM orders o, notes n ORDER BY n.id
UPDATE notes SET stars = stars WHERE id = 2 RETURNING tableoid::regclass, *
INSERT INTO notes VALUES (91, 'x') RETURNING *, tableoid::regclass, tableoid::regclass::text AS t, tableoid = 'notes'::regclass AS own
DELETE FROM notes WHERE id = 91 RETURNING tableoid::regclass AS t, id
SELECT 'tags'::regclass AS t UNION SELECT tableoid::regclass FROM notes ORDER BY 1
SELECT relname FROM pg_class WHERE oid::regclass IN ('notes', 'tags') ORDER BY 1
SELECT n.id, c.relname, n.* FROM notes n, pg_class c WHERE c.oid = n.tableoid ORDER BY 1
SELECT id FROM notes WHERE tableoid::regclass IN (SELECT oid FROM pg_class WHERE relname = 'notes') ORDER BY 1
SELECT pg_typeof(pg_typeof(id)) FROM notes LIMIT 1
~SELECT ctid, relname FROM pg_class
~SELECT tableoid::regclass FROM notes UNION SELECT 'initech'
~SELECT n, n.ctid FROM notes n
~SELECT to_jsonb(n) FROM notes n WHERE n.ctid IS NOT NULL
~SELECT * FROM notes a NATURAL JOIN tags b WHERE a.ctid IS NOT NULL
~SELECT * FROM notes WHERE 1 / stars > 0 FOR UPDATE
BEGIN
UPDATE notes SET title = 'x' WHERE id = 1 RETURNING notes, (notes), notes IS NULL AS none, notes.*::text AS t, notes::text = notes.*::text AS same
UPDATE notes SET title = notes::text WHERE id = 2 RETURNING substring(notes::text, 1, 20), to_jsonb(notes), row_to_json(notes.*), ROW(notes.*), ROW(1, notes.*, 2) AS r
UPDATE notes n SET stars = 5 WHERE n = ROW(1, 'x', n.stars) OR n.* IS NULL RETURNING *, n
UPDATE notes n SET stars = 4 FROM notes m WHERE m.id = n.id AND n = m AND n.id = 1 RETURNING n, m, n = m AS same
DELETE FROM notes n WHERE n IS NOT NULL AND n.id = 3 AND n.* IS DISTINCT FROM NULL RETURNING (SELECT n)
INSERT INTO notes AS i VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET title = excluded.*::text WHERE i.* <> excluded.* RETURNING i, *
INSERT INTO notes AS i VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET (title, stars) = (SELECT to_json(excluded)::text, count(x) FROM (SELECT i) x) WHERE i.* = excluded.* RETURNING i
INSERT INTO notes VALUES (92) RETURNING to_jsonb(notes), ROW(notes.*) = ROW(notes.*) AS same, count(notes) OVER () AS n
UPDATE notes n SET (title, stars) = ROW('r', n.stars) RETURNING n.id, n
MERGE INTO notes n USING (SELECT id, title, stars FROM notes WHERE id = 1) s ON n.id = s.id WHEN MATCHED AND n <> s THEN DELETE WHEN MATCHED AND n = s THEN UPDATE SET title = 'same'
SELECT * FROM notes ORDER BY id
ROLLBACK
~UPDATE notes SET title = (notes).title
~UPDATE notes SET stars = stars WHERE notes.* IN (notes.*, NULL)
~UPDATE notes SET title = org_id FROM orders
~MERGE INTO notes n USING tags t ON n.id = t.note_id WHEN MATCHED THEN DELETE RETURNING *
~SELECT * FROM reveal
~SELECT n FROM notes AS n (a)
SELECT * FROM made(2)
SELECT m, m.*, m.title FROM made(2) m
SELECT m::text, m IS NULL AS n, to_jsonb(made) FROM public.made(2) AS m (a, b), made(1)
~SELECT to_jsonb(m) FROM public.made(2) AS m (a, b)
SELECT * FROM made(3) WITH ORDINALITY
SELECT * FROM made(3) WITH ORDINALITY AS m (a, b, c, o) WHERE o > 1
SELECT n.id, m.* FROM notes n LEFT JOIN made(n.id) m ON m.id = n.id ORDER BY n.id
SELECT n.id FROM notes n WHERE 't1' IN (SELECT title FROM made(n.id)) ORDER BY 1
SELECT m.org_id FROM made(1) m
SELECT * FROM made(1) AS m (a, b, c, d)
INSERT INTO tags SELECT id, title FROM made(2) WHERE id = 1
DELETE FROM tags USING made(2) m WHERE m.title = tags.name RETURNING *
SELECT either(id) FROM notes
~SELECT taker(n) FROM notes n
~SELECT taker(ROW(1, 'x', 2))
~SELECT * FROM notes n, taker(n.*)
~SELECT made(1)
~SELECT * FROM ROWS FROM (made(1), made(2))
~SELECT listed()
~SELECT * FROM listed()
~SELECT domained()
~SELECT * FROM domained()
~SELECT (given()).m
~SELECT * FROM given()
~SELECT (public.some_note()).title
SELECT * FROM some_title()
DELETE FROM sums
UPDATE notes org_id SET title = 'w' WHERE id = 1 RETURNING org_id
UPDATE notes org_id SET title = left(org_id::text, 3) WHERE id = 1 RETURNING title
DELETE FROM notes org_id WHERE org_id::text LIKE '%x%' RETURNING org_id.id
INSERT INTO notes AS org_id VALUES (91, 'x', 2) RETURNING org_id
MERGE INTO notes org_id USING (SELECT 1 AS i) s ON org_id.id = s.i WHEN MATCHED AND org_id::text <> 'x' THEN UPDATE SET title = 'm'
INSERT INTO notes AS org_id VALUES (1, 'x', 2) ON CONFLICT (id) DO UPDATE SET title = 'c' WHERE org_id IS NOT NULL RETURNING id
