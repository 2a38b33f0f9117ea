.PHONY: test isolation lint install fmt
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
