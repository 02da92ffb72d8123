-- A database in a file: bulk insert, index, point queries, joins, groups, updates, text.
PRAGMA journal_mode = DELETE;
PRAGMA synchronous = OFF;
CREATE TABLE item (id INTEGER PRIMARY KEY, kind INTEGER, price REAL, name TEXT);
CREATE TABLE sale (item INTEGER, day INTEGER, amount INTEGER);
BEGIN;
WITH RECURSIVE n(i, s) AS (SELECT 1, 1 UNION ALL
    SELECT i + 1, s * 16807 % 2147483647 FROM n WHERE i < 60000)
INSERT INTO item SELECT i, s % 50, s % 9973 / 100.0, 'item ' || s % 1000 || ' of ' || i FROM n;
WITH RECURSIVE n(i, s) AS (SELECT 1, 7 UNION ALL
    SELECT i + 1, s * 48271 % 2147483647 FROM n WHERE i < 120000)
INSERT INTO sale SELECT 1 + s % 60000, s % 365, 1 + s % 9 FROM n;
COMMIT;
CREATE INDEX sale_item ON sale(item);
CREATE INDEX item_kind ON item(kind, price);
SELECT kind, count(*), round(sum(price * amount), 2) FROM sale JOIN item ON sale.item = item.id
    GROUP BY kind ORDER BY 3 DESC LIMIT 5;
SELECT day, sum(amount) FROM sale GROUP BY day ORDER BY 2 DESC, 1 LIMIT 5;
SELECT count(*) FROM item WHERE name LIKE '%77 of%';
BEGIN;
UPDATE item SET price = price * 1.1 WHERE kind IN (SELECT kind FROM item GROUP BY kind
    HAVING avg(price) > 50);
DELETE FROM sale WHERE day % 7 = 0;
COMMIT;
SELECT round(sum(price), 2), (SELECT count(*) FROM sale) FROM item;
SELECT a.kind, count(*) FROM item a JOIN item b ON b.id = a.id * 2 AND b.kind = a.kind
    GROUP BY a.kind ORDER BY 2 DESC, 1 LIMIT 3;
SELECT length(group_concat(name)) FROM item WHERE id % 3 = 0;
