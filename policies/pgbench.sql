-- pgbench's tables with a tenant column, for `partywall explain`. The benchmark makes them by `pgbench -i` and the same changes.
CREATE TABLE pgbench_branches (bid int NOT NULL, bbalance int, filler char(88), tenant_id text NOT NULL, PRIMARY KEY (tenant_id, bid));
CREATE TABLE pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84), tenant_id text NOT NULL, PRIMARY KEY (tenant_id, tid));
CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84), tenant_id text NOT NULL, PRIMARY KEY (tenant_id, aid));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22), tenant_id text NOT NULL);
