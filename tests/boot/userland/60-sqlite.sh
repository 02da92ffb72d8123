# SQLite: a database on disk and in memory, indexes, joins, windows, transactions, text search.
set -eu
sqlite3 base.db << SQL
PRAGMA journal_mode=WAL;
CREATE TABLE item(id INTEGER PRIMARY KEY, kind INTEGER, price REAL, name TEXT);
WITH RECURSIVE n(i, s) AS (VALUES(1, 17) UNION ALL
    SELECT i + 1, (s * 16807) % 2147483647 FROM n WHERE i < $((10000 * SCALE)))
INSERT INTO item SELECT i, s % 37, s / 977.0, printf('%x-%d', s, i) FROM n;
CREATE INDEX by_kind ON item(kind, price);
SELECT count(*), sum(price), avg(price), max(name) FROM item;
SELECT kind, count(*), printf('%.6f', total(price)) FROM item GROUP BY kind ORDER BY 3 DESC LIMIT 7;
SELECT name, rank() OVER (PARTITION BY kind ORDER BY price DESC) r FROM item ORDER BY r, name LIMIT 9;
BEGIN;
UPDATE item SET price = price * 1.0825 WHERE kind IN (3, 5, 7);
DELETE FROM item WHERE id % 13 = 0;
SAVEPOINT here;
DELETE FROM item;
ROLLBACK TO here;
COMMIT;
SELECT a.kind, count(*) FROM item a JOIN item b ON a.kind = b.kind AND a.id = b.id + 37
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5;
SELECT group_concat(name) FROM (SELECT name FROM item WHERE name LIKE '%abc%' ORDER BY name LIMIT 20);
CREATE VIRTUAL TABLE text USING fts5(body);
INSERT INTO text SELECT replace(name, '-', ' ') || ' word' || kind FROM item;
SELECT count(*) FROM text WHERE text MATCH 'word3 OR word11';
SELECT sum(length(hex(zeroblob(id % 50)))), total(sqrt(id) * sin(kind)) FROM item;
SELECT json_group_array(kind) FROM (SELECT DISTINCT kind FROM item ORDER BY kind);
VACUUM;
PRAGMA integrity_check;
SQL
sqlite3 base.db .dump | sha256sum
