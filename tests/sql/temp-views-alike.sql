-- Temporary views that a tenant's wall and a private database must answer alike, but for lines with ~: refused by the wall. ?: see views-alike.sql.
CREATE TEMP VIEW v AS SELECT id, title, 10 / stars AS tenth FROM notes
SELECT * FROM v
SELECT v FROM v WHERE id = 1
SELECT * FROM v WHERE 1 / (id - 5) < 1 AND 100 / length(title) > 0
SELECT * FROM v JOIN notes n USING (id, title) ORDER BY 1
SELECT count(*), sum(tenth) FROM pg_temp.v
CREATE TEMP VIEW v AS SELECT 1
CREATE OR REPLACE TEMP VIEW v AS SELECT id, title, 10 / stars AS tenth, stars FROM notes WHERE stars > 1
SELECT * FROM v
CREATE OR REPLACE TEMP VIEW v AS SELECT 1 AS id
CREATE TEMP VIEW w (a, b) AS SELECT v.id, t.name FROM v LEFT JOIN tags t ON t.note_id = v.id
SELECT * FROM w
CREATE TEMP VIEW u AS SELECT id FROM notes UNION ALL SELECT note_id FROM tags ORDER BY 1
SELECT * FROM u
DROP VIEW u
?SELECT * FROM u
CREATE TEMP VIEW c AS WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT r.n, notes.title FROM r JOIN notes ON notes.id = r.n
SELECT * FROM c
CREATE TEMP RECURSIVE VIEW nums (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM nums WHERE n < 4
SELECT * FROM nums
CREATE TEMP VIEW broken AS SELECT nothing FROM notes
?SELECT * FROM broken
CREATE TEMP TABLE t (a int, b text)
CREATE TEMP VIEW mine AS SELECT a, b FROM t WHERE a > 0
INSERT INTO mine VALUES (1, 'x'), (2, 'y') RETURNING *
UPDATE mine SET b = 'z' WHERE a = 2 RETURNING *
DELETE FROM mine WHERE a = 1
SELECT * FROM t
SELECT * FROM mine FOR UPDATE
~SELECT * FROM v FOR UPDATE
~INSERT INTO v VALUES (1)
~SELECT pg_get_viewdef('v'::regclass)
DROP TABLE t
DROP TABLE t CASCADE
~SELECT * FROM mine
BEGIN
CREATE TEMP VIEW inside AS SELECT id FROM notes
SELECT * FROM inside
SAVEPOINT s
DROP VIEW inside
CREATE TEMP VIEW inside AS SELECT title FROM notes
SELECT * FROM inside
ROLLBACK TO s
SELECT * FROM inside
ROLLBACK
?SELECT * FROM inside
BEGIN
CREATE TEMP VIEW kept AS SELECT title FROM notes
COMMIT
SELECT * FROM kept
INSERT INTO notes VALUES (9, 'nine', 9)
SELECT * FROM kept
DROP VIEW IF EXISTS kept, nothing
PREPARE p AS SELECT * FROM v WHERE id > $1
EXECUTE p (2)
DISCARD TEMP
?SELECT * FROM v
