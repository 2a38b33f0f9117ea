.PHONY: test isolation lint install fmt functions
export CARGO_TERM_COLOR ?= auto

install:
	@bash tests/install.sh

lint: install
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo check --lib --no-default-features

test: lint
	cargo test
	bash tests/isolation.sh

isolation:
	bash tests/isolation.sh $(ONLY)

fmt:
	cargo fmt

# The tables of functions and operators against PostgreSQL 13 to 18; UPDATE=1 writes them.
functions: install
	PARTYWALL_SERVERS=$$(bash tests/servers.sh) cargo test --test it the_tables_come_from_all_versions -- --ignored --nocapture
