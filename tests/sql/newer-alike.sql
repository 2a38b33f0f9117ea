-- MERGE … NOT MATCHED BY SOURCE, merge_action (17)
MERGE INTO orders USING items ON order_id = id WHEN NOT MATCHED BY SOURCE THEN DELETE
MERGE INTO orders o USING (SELECT DISTINCT order_id FROM items) i ON i.order_id = o.id WHEN MATCHED THEN UPDATE SET total = 0 WHEN NOT MATCHED BY SOURCE AND o.total > 20 THEN UPDATE SET total = o.total - 1 WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED BY TARGET THEN INSERT (id, total) VALUES (i.order_id, 5)
MERGE INTO orders o USING (SELECT DISTINCT order_id FROM items) i ON i.order_id = o.id WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (i.order_id) RETURNING merge_action(), o.id, i.order_id
MERGE INTO orders o USING (VALUES (1)) v (n) ON o.id = v.n WHEN NOT MATCHED BY SOURCE AND 100 / o.total > 4 THEN DELETE RETURNING merge_action() AS did, o.id
MERGE INTO orders o USING (VALUES (1)) v (n) ON o.id = v.n AND 100 / o.total > 1 WHEN NOT MATCHED BY SOURCE AND note::int = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET note = 'one'
MERGE INTO orders o USING (VALUES (1)) v (n) ON false WHEN NOT MATCHED BY SOURCE THEN DELETE
MERGE INTO orders o USING (VALUES (1)) v (n) ON true WHEN NOT MATCHED BY SOURCE THEN DELETE
MERGE INTO orders o USING (SELECT 1 AS n WHERE false) v ON true WHEN NOT MATCHED BY SOURCE AND EXISTS (SELECT 1 FROM items i WHERE i.order_id = o.id AND 10 / i.qty > 0) THEN UPDATE SET note = (SELECT max(sku) FROM items WHERE order_id = o.id) RETURNING id, note
MERGE INTO orders o USING items i ON o.id = i.order_id AND i.qty > 1 WHEN NOT MATCHED BY SOURCE AND o.tenant_id = 'globex' THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DO NOTHING
MERGE INTO notes n USING (VALUES (1, 'uno'), (5, 'cinco')) v (i, t) ON n.id = v.i WHEN MATCHED THEN UPDATE SET title = t WHEN NOT MATCHED BY SOURCE THEN UPDATE SET stars = 10 / stars WHEN NOT MATCHED BY TARGET THEN INSERT (id, title) VALUES (i, t) RETURNING merge_action(), id, title
MERGE INTO notes n USING marks m ON m.note_id = n.id AND m.mark = 'm' WHEN NOT MATCHED BY SOURCE AND 1 / n.stars = 0 THEN UPDATE SET title = 'gone' || n.title
MERGE INTO marks m USING (VALUES (1)) v (i) ON m.note_id = v.i WHEN NOT MATCHED BY SOURCE THEN DELETE
MERGE INTO marks m USING (VALUES (1)) v (i) ON m.note_id = v.i WHEN NOT MATCHED BY SOURCE AND mark::text <> 'x' THEN UPDATE SET mark = 'z' RETURNING merge_action(), mark, i
MERGE INTO marks m USING notes n ON m.note_id = n.id AND n.stars = 1 WHEN NOT MATCHED BY SOURCE AND ('{"CANARY": 1}'::json ->> mark) IS NULL THEN UPDATE SET mark = 'z' WHEN NOT MATCHED BY TARGET THEN DO NOTHING
WITH m AS (MERGE INTO orders o USING (VALUES (1)) v (n) ON o.id = v.n WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING o.id, merge_action()) SELECT count(*), max(id) FROM m
SELECT merge_action()
-- OLD and NEW (18)
UPDATE orders SET total = total + 1 WHERE id = 1 RETURNING old.total, new.total, total, old.*, new.note, old, upper(old.note)
UPDATE orders o SET total = 0 FROM items i WHERE i.order_id = o.id AND i.sku = 'q' RETURNING WITH (OLD AS before, NEW AS after) before.total, after.*, before.note::int, i.sku, o.id
INSERT INTO orders (id, note) VALUES (1, 'x') ON CONFLICT (tenant_id, id) DO UPDATE SET note = excluded.note RETURNING old.id IS NULL AS fresh, old.note, new.note
INSERT INTO orders (id, note) VALUES (50, 'x') RETURNING old.id IS NULL AS fresh, old.note, new.note
DELETE FROM orders WHERE id < 3 RETURNING WITH (OLD AS o) o.id, new.id, (SELECT count(*) FROM items WHERE order_id = o.id)
WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING WITH (NEW AS n, OLD AS o) o.*) SELECT * FROM d
UPDATE orders AS old SET total = 1 WHERE id = 2 RETURNING old.total, new.total
UPDATE notes SET stars = 9 WHERE id = 1 RETURNING old.stars, new.stars, old.title
MERGE INTO orders o USING (VALUES (1), (60)) v (n) ON o.id = v.n WHEN MATCHED THEN UPDATE SET total = 7 WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT (id, total) VALUES (n, 8) RETURNING merge_action(), old.total, new.total
UPDATE orders SET total = 1 RETURNING WITH (OLD AS a, OLD AS b) a.total
UPDATE orders SET total = 1 RETURNING WITH (OLD AS o) old.total
-- Constructors, IS JSON (16)
SELECT JSON_OBJECT('id': id, 'note' VALUE note ABSENT ON NULL WITH UNIQUE KEYS RETURNING jsonb), JSON_OBJECT(), JSON_ARRAY(id, note NULL ON NULL RETURNING text), JSON_ARRAY() FROM orders ORDER BY id
SELECT JSON_OBJECTAGG(id : note ABSENT ON NULL), JSON_ARRAYAGG(note ORDER BY id DESC NULL ON NULL RETURNING jsonb) FILTER (WHERE total > 10) FROM orders
SELECT JSON_ARRAYAGG(note) OVER (ORDER BY id) FROM orders ORDER BY id
SELECT sku FROM items WHERE raw IS JSON ORDER BY sku
SELECT sku, raw IS JSON OBJECT, raw IS NOT JSON ARRAY, raw IS JSON SCALAR, raw IS JSON VALUE WITH UNIQUE KEYS FROM items WHERE raw IS NOT JSON SCALAR ORDER BY sku
SELECT JSON_OBJECT('a': raw FORMAT JSON) FROM items ORDER BY sku
SELECT total FROM orders GROUP BY total HAVING JSON_ARRAYAGG(note RETURNING text) <> '[]' AND 100 / total > 3 ORDER BY total
SELECT JSON_OBJECT('n': (SELECT count(*) FROM items i WHERE i.order_id = o.id)) FROM orders o ORDER BY id
UPDATE orders SET note = JSON_OBJECT('a': (SELECT max(sku) FROM items) RETURNING text)
SELECT DISTINCT ROW(JSON_ARRAY(id)) FROM orders
-- JSON_VALUE and its kin (17)
SELECT JSON(raw), JSON_SCALAR(qty), JSON_SERIALIZE(raw RETURNING bytea), JSON(raw WITH UNIQUE KEYS) FROM items ORDER BY sku
SELECT JSON_VALUE(doc, '$.b' DEFAULT note ON EMPTY), JSON_QUERY(doc, '$.a[$x]' PASSING id - 1 AS x WITH WRAPPER), JSON_QUERY(doc, '$.b' OMIT QUOTES), JSON_EXISTS(doc, '$.a[*] ? (@ > 2)') FROM orders ORDER BY id
SELECT id FROM orders WHERE JSON_VALUE(doc, '$.b' ERROR ON ERROR) = 'x'
SELECT id FROM orders WHERE JSON_EXISTS(doc, 'strict $.a[*]' ERROR ON ERROR) IS TRUE ORDER BY id
SELECT sku FROM items WHERE JSON_VALUE(raw, '$.k' RETURNING int ERROR ON ERROR) = 1
SELECT id FROM orders WHERE JSON_VALUE('{}', '$.a' RETURNING int DEFAULT 100 / total ON EMPTY) > 4 ORDER BY id
SELECT id FROM orders o WHERE JSON_EXISTS('{}', '$' PASSING (SELECT count(*) FROM items WHERE 10 / qty > o.total) AS x) ORDER BY id
SELECT o.id, i.sku FROM orders o JOIN items i ON JSON_VALUE(i.raw, '$.k') = o.note
-- JSON_TABLE (17)
SELECT o.id, j.* FROM orders o, JSON_TABLE(o.doc, '$' AS root PASSING o.id AS x COLUMNS (n FOR ORDINALITY, b text PATH '$.b' DEFAULT (100 / o.total)::text ON EMPTY, e boolean EXISTS PATH '$.a', f jsonb FORMAT JSON PATH '$.a' WITH WRAPPER, NESTED PATH '$.a[*]' AS deep COLUMNS (d int PATH '$', k FOR ORDINALITY))) AS j ORDER BY 1, 2, 7
SELECT json_table.a FROM items LEFT JOIN LATERAL JSON_TABLE(raw, '$' COLUMNS (a text PATH '$.k') ERROR ON ERROR) ON true ORDER BY sku
SELECT sku FROM items i WHERE EXISTS (SELECT 1 FROM JSON_TABLE(i.raw, '$.k' COLUMNS (a int PATH '$' ERROR ON ERROR)) j WHERE j.a > 0)
SELECT sku FROM items i WHERE qty IN (SELECT j.a FROM JSON_TABLE(i.raw, '$.*' COLUMNS (a int PATH '$' ERROR ON ERROR)) j)
SELECT * FROM JSON_TABLE((SELECT max(raw) FROM items), '$' COLUMNS (a text PATH '$.k')) j
SELECT note_id, j.a FROM marks m, JSON_TABLE('"' || m.mark || '"', '$' COLUMNS (a text PATH '$' ERROR ON ERROR)) j ORDER BY 1
SELECT title, j.a FROM notes n, JSON_TABLE(JSON_SCALAR(10 / n.stars), '$' COLUMNS (a int PATH '$')) j ORDER BY 1
