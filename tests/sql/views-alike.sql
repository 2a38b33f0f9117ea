-- Writes through views that a tenant's wall and a private database must answer alike, but for lines with ~: refused by the wall (0A000).
-- Rows may come in another order. A line with ? is compared without DETAIL, HINT and position.
SELECT * FROM titles ORDER BY id
UPDATE titles SET name = 'x' WHERE id = 1
UPDATE titles t SET name = t.name || '!' WHERE t.id < 3 RETURNING t.id, t.name, t.name || 'y', t.*
UPDATE titles SET name = upper(name) RETURNING *
UPDATE public.titles SET name = 'q' WHERE public.titles.id = 2 RETURNING name AS n, name::varchar(3), (id)::text
SELECT * FROM notes ORDER BY id
DELETE FROM titles WHERE name LIKE 'q%' RETURNING id
INSERT INTO titles VALUES (20, 'new'), (21, DEFAULT) RETURNING *
INSERT INTO titles (name, id) SELECT 'n' || id, id + 30 FROM notes ORDER BY id RETURNING *
INSERT INTO titles DEFAULT VALUES
INSERT INTO titles (id, name) VALUES (20, 'again')
?INSERT INTO titles VALUES (1, 2, 3)
UPDATE titles SET stars = 5
UPDATE titles SET name = stars
UPDATE titles SET name = 'x' WHERE org_id = 'acme'
?UPDATE titles SET name = 'x' RETURNING ctid
UPDATE titles SET name = titles.stars::text
?UPDATE titles SET name = 'x' FROM titles
UPDATE titles SET name = to_json(titles)::text WHERE id = 20 RETURNING name
UPDATE titles SET name = (titles).id::text WHERE id = 20 RETURNING name
UPDATE titles SET (name, id) = (SELECT 'both', 22) WHERE id = 20 RETURNING *
UPDATE titles SET (name, id) = ('back', DEFAULT) WHERE id = 22
SELECT * FROM swapped ORDER BY 1
UPDATE swapped SET id = title::text || 'z', title = title + 1000 WHERE more > 1 RETURNING *
UPDATE swapped SET title = title - 1000 WHERE title > 1000 RETURNING id, title, more + 1
UPDATE swapped SET more = 1
UPDATE placed SET title = row WHERE id = 3 RETURNING row
UPDATE placed SET place = '(0,1)'
UPDATE titles SET name = titles.*::text WHERE id = 3 RETURNING *, length(titles.*::text)
INSERT INTO swapped VALUES (50, 'x', 2)
INSERT INTO swapped VALUES (50, 'x') RETURNING *
DELETE FROM swapped WHERE title = 50 AND more = 2 RETURNING more
UPDATE best SET name = 'best' WHERE number = 3 RETURNING *
DELETE FROM best b USING orders o WHERE o.id = b.number AND o.note = 'nothing' RETURNING b.name, o.note
UPDATE best SET name = note FROM orders o WHERE o.id = number RETURNING number, name, o.note
UPDATE best SET name = s.z FROM (SELECT 3 AS stars, 'from' AS z) s WHERE number = stars RETURNING *
INSERT INTO best VALUES (60, 'sixty') RETURNING *
UPDATE poison SET id = id + 100 WHERE id = 2 RETURNING id
UPDATE poison SET id = id - 100 WHERE 1 / (id - 5) >= 0 AND id > 100 RETURNING id
DELETE FROM poison WHERE 10 / id < 0
UPDATE tagged SET title = (SELECT max(name) FROM tags WHERE tags.note_id = tagged.id) RETURNING *
UPDATE tagged SET title = (SELECT min(name) FROM tags WHERE note_id = id) RETURNING *
DELETE FROM tagged WHERE title = 'nothing' AND id IN (SELECT note_id FROM tags)
UPDATE safe SET title = 'safe' WHERE id = 3 RETURNING *
UPDATE safe SET title = 'safer' WHERE 1 / (id - 1) > -5 OR id > 1 RETURNING *
~UPDATE held SET stars = 1
~INSERT INTO held VALUES (1, 1)
DELETE FROM held WHERE id = 60
~UPDATE coded SET title = 'x'
DELETE FROM coded WHERE id = 1000
~DELETE FROM ruled
UPDATE ruled SET title = 'ruled' WHERE id = 3 RETURNING title
DELETE FROM counted
INSERT INTO counted VALUES (1)
UPDATE grouped SET title = 'x'
DELETE FROM united
UPDATE windowed SET id = 1
DELETE FROM series
INSERT INTO joined VALUES (1)
UPDATE constants SET one = 2
DELETE FROM constants WHERE one = 2
INSERT INTO filled (id) VALUES (70) RETURNING *
INSERT INTO filled VALUES (71, DEFAULT, 2), (72, 'x', DEFAULT) RETURNING *
UPDATE filled SET title = DEFAULT WHERE id = 72 RETURNING *
~INSERT INTO filled (id) SELECT 73
INSERT INTO filled (id, title) VALUES (70, 'a') ON CONFLICT (id) DO UPDATE SET title = excluded.title || filled.title WHERE filled.id > 1 RETURNING *
INSERT INTO filled (id, title) VALUES (70, 'a') ON CONFLICT (id) DO NOTHING
INSERT INTO filled (id, title) VALUES (70, 'a') ON CONFLICT DO NOTHING
INSERT INTO filled (id, title) VALUES (70, 'a') ON CONFLICT ON CONSTRAINT notes_pkey DO NOTHING
INSERT INTO filled (id, title) VALUES (70, 'a') ON CONFLICT (id) DO UPDATE SET title = title
INSERT INTO swapped VALUES (70, 'up') ON CONFLICT (title) DO UPDATE SET id = excluded.id || excluded.title || swapped.more RETURNING *
INSERT INTO marked VALUES (77, 'x')
DELETE FROM marked WHERE mark = 'nothing'
WITH t AS (UPDATE titles SET name = 'w' WHERE id = 3 RETURNING id, name) SELECT * FROM t
WITH tags AS (SELECT 1 AS note_id) DELETE FROM tagged WHERE id IN (SELECT note_id + 1000 FROM tags)
TRUNCATE titles
MERGE INTO titles USING orders o ON o.id = titles.id WHEN MATCHED THEN DELETE
PREPARE p (int) AS UPDATE titles SET name = 'prepared' WHERE id = $1 RETURNING *
EXECUTE p (3)
BEGIN
DELETE FROM best
SELECT count(*) FROM notes
ROLLBACK
SELECT * FROM notes ORDER BY id
SELECT * FROM tags ORDER BY 1, 2
