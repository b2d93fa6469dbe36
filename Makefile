# What one types in this repository. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

CARGO ?= cargo
# Where `make up` keeps the log, the stores and the addresses.
DATA ?= ./groupfold-data

.PHONY: help up test bench bench-quick chaos flood fuzz mutants lint fmt clippy doc nats release reproduce sbom clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# A development build: its dependencies are optimised a little (see Cargo.toml), and it is there in minutes.
up: ## build and run the whole pipeline with a simulated WhatsApp; Ctrl-C ends it
	@nats=$$(deploy/nats/install) && \
	$(CARGO) build --locked --package groupfold --bin groupfold && \
	program="$${CARGO_TARGET_DIR:-target}/debug/groupfold" && \
	printf '\n  the program is %s; it says below where to look, Ctrl-C ends it\n\n' "$$program" && \
	exec "$$program" up --demo --data $(DATA) --nats-server "$$nats"

# Most tests wait most of the time: more of them at once than there are cores. RUST_TEST_THREADS=1 says otherwise.
test: ## all tests, against a real nats-server
	@nats=$$(deploy/nats/install) && cores=$$(getconf _NPROCESSORS_ONLN) && \
	export RUST_TEST_THREADS="$${RUST_TEST_THREADS:-$$((cores < 2 ? 4 : 2 * cores))}" && \
	GROUPFOLD_NATS_SERVER="$$nats" $(CARGO) test --workspace --locked --no-fail-fast

# Others to measure beside us: VECTOR=path RPCONNECT=path. More of the harness's own flags: BENCH_ARGS="…".
BENCH_ARGS ?=
# $(1): the profile, $(2): flags.
measure = nats=$$(deploy/nats/install) && \
	$(CARGO) build --locked --profile $(1) --package groupfold --package groupfold-bench && \
	GROUPFOLD_NATS_SERVER="$$nats" "$${CARGO_TARGET_DIR:-target}/$(1)/groupfold-bench" $(2) $(BENCH_ARGS)

bench: ## groupfold and bare references in turn, aim by aim: half an hour (docs/PERFORMANCE.md)
	@$(call measure,release,)

bench-quick: ## the same, short and small: two minutes and the build
	@$(call measure,measure,--quick)

# ROW=2 or 2a picks rows; ROUNDS=1000, FAULTS=1000 or SECONDS=600 says for how long, AIM=1 as many faults as
# docs/RELIABILITY.md aims at, ITEMS=6000 how many items a flood has; SEED=7 which chance, JOBS=1 how many at once,
# RECORD=file adds a line of JSON for each row.
chaos: ## the fault table: kills, pauses, broken networks and disks, with numbered webhooks
	@nats=$$(deploy/nats/install) && \
	GROUPFOLD_NATS_SERVER="$$nats" $(CARGO) test $(if $(PROFILE),--profile $(PROFILE)) --workspace --locked --test chaos -- \
	$(if $(ROW),--row $(ROW)) $(if $(TARGET),--target $(TARGET)) $(if $(AIM),--aim) $(if $(ITEMS),--items $(ITEMS)) \
	$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(SECONDS),--seconds $(SECONDS)) \
	$(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS)) $(if $(RECORD),--record $(abspath $(RECORD)))

# The build is one without crash points, and as fast as a release but for the link. TMPDIR says on which disk.
flood: ## ten million items, duplicates and shuffled ones among them, and what they must add up to: ITEMS=10000000
	@$(MAKE) --no-print-directory chaos ROW=8b PROFILE=measure ITEMS=$(or $(ITEMS),10000000)

# TARGET is one of the folders of tests/fuzz/corpus; without one each gets SECONDS. Bodies, signatures and queries over
# HTTP are `make chaos ROW=16b`.
fuzz: ## bytes that nobody would send, led by coverage: TARGET=webhooks SECONDS=3600 for an hour of one
	@tests/fuzz/run $(or $(TARGET),all) $(or $(SECONDS),60)

# WHAT is fold, door or commit; SHARD=0/8 takes a part.
mutants: ## what no test would notice, by cargo-mutants: WHAT=fold SHARD=0/8 (hours without)
	@tests/mutants/run $(or $(WHAT),fold) $(SHARD)

lint: fmt clippy doc ## format, clippy and documentation, without a warning

fmt: ## is everything formatted?
	$(CARGO) fmt --all --check

clippy: ## no lint in any target
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## the documentation, in target/doc
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked

nats: ## find or install the pinned nats-server, print its path
	@deploy/nats/install

# Paths of this machine are no part of the program: the same source, lock file and toolchain give the same bytes.
REMAP = --remap-path-prefix=$(CURDIR)=/groupfold --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo

release: ## the release build, the same bytes wherever it is made
	CARGO_INCREMENTAL=0 RUSTFLAGS='$(REMAP)' $(CARGO) build --release --locked --package groupfold --bin groupfold

reproduce: ## build the release twice in different folders and compare
	@deploy/reproduce

sbom: ## the bill of materials, target/groupfold.cdx.json (CycloneDX)
	@mkdir -p target && deploy/sbom > target/groupfold.cdx.json && echo target/groupfold.cdx.json

clean: ## remove what was built; data and tools stay
	$(CARGO) clean
