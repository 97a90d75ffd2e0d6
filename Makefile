# Cordon: two commands. `make run` sets up whatever is missing and serves; `make test` sets up whatever is missing and tests everything.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run images demo-kind test setup setup-test web bench conformance compare fuzz fmt lint clean

CARGO ?= cargo
CORDON_RUN_FLAGS ?=

help:            ## what there is
	@grep -hE '^[a-z-]+: *.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: setup web   ## set up, build, migrate, serve; prints the address to open
	$(CARGO) build --release --locked --workspace --bin cordon
	exec target/release/cordon serve $(CORDON_RUN_FLAGS)

demo-kind: setup web  ## the labs on real clusters in Docker, for whoever sits at this machine (docs/kind.md)
	$(CARGO) build --release --locked --workspace --bin cordon
	exec scripts/demo-kind $(CORDON_RUN_FLAGS)

test: setup-test web  ## set up and run every test: format, clippy, unit, http, kubectl, jail, restart, labs, browser, docs
	scripts/test

setup:           ## install what `make run` needs and say what could not be installed
	@scripts/setup run

setup-test:      ## the same for `make test`
	@scripts/setup test

web:             ## bundle the terminal, the editor and the styles
	@scripts/web

bench: setup web ## figures, as distributions and ratios from one run
	scripts/bench $(BENCH_FLAGS)

conformance: setup web  ## replay what real systems answered (needs CORDON_CONFORMANCE; docs/conformance.md)
	scripts/conformance

compare: setup web  ## one list of commands on a real control plane and on the embedded one (needs CORDON_KIT; docs/conformance.md)
	$(CARGO) build --release --locked --workspace --bin cordon --bin compare
	target/release/compare $(COMPARE_FLAGS)

fuzz:            ## each fuzz target for FUZZ_SECONDS (600), the seeds in fuzz/seeds first
	@scripts/fuzz

images: setup    ## the labs' images for real clusters: builds their program and the archive that nodes load (docs/kind.md)
	scripts/images
	$(CARGO) build --release --locked --workspace --bin cordon
	target/release/cordon images build

fmt:             ## format everything
	$(CARGO) fmt --all

lint:            ## clippy, warnings are errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

clean:
	$(CARGO) clean
	rm -rf web/node_modules web/dist
