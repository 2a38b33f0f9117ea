.PHONY: attacks rotation workload-api coverage sqlsmith redis-isolation redis-oracle redis-suite help demo demo-check test drivers oracle mutants isolation functions fuzz bench lint install fmt newer
export CARGO_TERM_COLOR ?= auto

help:
	@echo "make demo        two tenants side by side on throwaway servers; Ctrl-C ends it"
	@echo "make demo-check  the same, checked, and ended"
	@echo "make test        lint and all tests"
	@echo "make drivers     every driver that can be had, directly and as two tenants; writes docs/COMPATIBILITY.md (ONLY='asyncpg,psql')"
	@echo "make oracle      random statements through the wall and on a private database (N=200000 SEED=7 CASE=n)"
	@echo "make coverage    the statement corpora through the wall; writes docs/SQL-COVERAGE.md (an hour; ONLY=django,psql measures some anew)"
	@echo "make rotation    certificates replaced every second for a minute under load"
	@echo "make workload-api  a wall with an agent of SPIFFE's Workload API, which is another build"
	@echo "make sqlsmith    SQLsmith as a tenant through the wall (SECONDS=3600 SEED=1)"
	@echo "make mutants     each protection of the rewriter left out in turn, and who notices"
	@echo "make isolation   attacks on PostgreSQL; make redis-isolation: on Redis, every way to it (ONLY=ids or groups); make attacks: both (20 minutes)"
	@echo "make redis-oracle  random commands through the wall and on a private Redis (N=1000000 SEED=7); make redis-suite: Redis' own test suite"
	@echo "make fuzz        each fuzz target for FUZZ_SECONDS=1800 (needs a nightly toolchain and cargo-fuzz)"
	@echo "make bench       pgbench and redis-benchmark: direct, relay, pgbouncer, wall (release build; minutes)"

demo: install
	cargo build --quiet
	@$${CARGO_TARGET_DIR:-target}/debug/partywall demo

demo-check: install
	cargo build --quiet
	@$${CARGO_TARGET_DIR:-target}/debug/partywall demo --check

bench:
	@bash tests/install.sh pgbouncer haproxy nutcracker
	cargo build --release --bin partywall --example relay
	python3 benches/bench.py $(ARGS)

install:
	@bash tests/install.sh

lint: install
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo check --lib --no-default-features

# All Redis attacks in three of the six rounds of `make attacks`, at once, since a round mostly waits. A neighbour's wait is a timing: here only a stall
# counts; `make attacks` holds it to 50 ms. What each round alone shows:
#   alone-glob      a connection upstream for each client and nothing behind the wall; prefixes whose every character means something in a pattern
#   shared-cluster  connections that all tenants' clients share, nothing behind the wall; one slot a tenant, redirections, commands that a node lacks
#   shared-acl-glob the server's users, which change on shared connections, and whose rules must quote such a prefix
# The other three are the same parts put together otherwise: alone, shared and alone-acl with the plain prefix.
test: lint
	cargo test
	python3 tests/drivers/run.py --quick
	cargo test --features mutants --lib protection_is_missed
	cargo test --features mutants --test it every_protection
	bash tests/isolation.sh
	ISOLATION_P99_MS=1000 ISOLATION_JOBS=3 ISOLATION_ROUNDS='alone-glob shared-cluster shared-acl-glob' bash tests/isolation/redis.sh

# Installs under target/drivers (and by Debian's packages), runs on servers of its own.
drivers: install
	cargo build --quiet
	nice python3 tests/drivers/run.py --docs docs/COMPATIBILITY.md --only "$(ONLY)" $(ARGS)

rotation: install
	PARTYWALL_ROTATION_SECONDS=60 cargo test --test it rotation::

# With 50 more packages, whose features are those of others too, it is a build of its own; what verifies SVIDs is tested by `make test`.
workload-api: install
	cargo clippy --all-targets --features mutants,workload-api -- -D warnings
	cargo test --features workload-api --lib config::tls
	cargo test --features workload-api --test workload_api

# The same random statements through the wall and on a private database: N of them by SEED, or one CASE alone.
N ?= 200000
SEED ?= 7
oracle: install
	ORACLE_N=$(N) ORACLE_SEED=$(SEED) ORACLE_CASE=$(CASE) cargo test --test it the_wall_answers -- --nocapture

# Statements that frameworks, tools, applications and PostgreSQL's regression tests send (../shared/corpora): what is accepted, and why the rest is not.
coverage: install
	COVERAGE_ONLY=$(ONLY) cargo test --test it the_corpora_are_measured -- --ignored --nocapture
	cargo test --test it the_page_is_made -- --ignored

# SQLsmith's random queries, for SECONDS, among poisoned rows of other tenants.
SECONDS ?= 3600
sqlsmith: install
	@bash tests/install.sh sqlsmith
	SQLSMITH_SECONDS=$(SECONDS) SEED=$(SEED) cargo test --test it sqlsmith_sees -- --ignored --nocapture

# The rewriter with one of its protections left out, for each of them: who notices.
mutants: install
	cargo test --features mutants --lib protection_is_missed -- --nocapture
	MUTANTS_ALL=1 cargo test --features mutants --test it every_protection -- --nocapture

# Each target of fuzz/ for FUZZ_SECONDS, one after another (FUZZ_TARGETS: which); `cargo test` runs a slice of them on any toolchain.
FUZZ_SECONDS ?= 1800
FUZZ_TARGETS ?= sql postgres_wire redis_wire
fuzz: install
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@set -e; for target in $(FUZZ_TARGETS); do mkdir -p fuzz/found/$$target; \
	  cargo +nightly fuzz run $$target fuzz/found/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=20 -rss_limit_mb=4096; \
	done

isolation:
	bash tests/isolation.sh $(ONLY)

# Random Redis commands through the wall and on a private server: N of them by SEED.
redis-oracle: install
	REDIS_ORACLE_N=$(N) REDIS_ORACLE_SEED=$(SEED) cargo test --test it a_tenant_has_a_redis -- --nocapture

# Redis' own test suite, bare and through the wall (UNITS='type/list sort').
redis-suite: install
	bash tests/redis/suite.sh "$(UNITS)"

redis-isolation:
	bash tests/isolation/redis.sh $(ONLY)

# Everything that attacks, in full: the PostgreSQL suite, and all six rounds of the Redis attacks, one after the other.
attacks: isolation redis-isolation

fmt:
	cargo fmt

# What PostgreSQL 16 to 18 added to the language, through the wall and in a private database, on each version.
newer: install
	PARTYWALL_SERVERS=$$(bash tests/servers.sh) cargo test --test it what_newer_servers_have -- --ignored --nocapture

# The tables of functions and operators against PostgreSQL 13 to 18; UPDATE=1 writes them.
functions: install
	PARTYWALL_SERVERS=$$(bash tests/servers.sh) cargo test --test it the_tables_come_from_all_versions -- --ignored --nocapture
