# Every command of the project. `make` alone explains them. Set-up comes first by itself where a command needs it.

PYTHON ?= python3
CARGO ?= cargo
# Extra arguments for the program that a target starts, e.g. `make dev ARGS="--port 8233"`.
ARGS ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
export CARGO

# Programs started from here find what set-up fetched by these variables; the cache moves with TAW_CACHE.
WITH_TOOLS = eval "$$($(PYTHON) tools/setup.py --print-env)" &&

.DEFAULT_GOAL := help

help: ## Explain every command.
	@awk 'BEGIN { FS = ":[^#]*## " } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

python:
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON) here; install Python 3.10 or newer with pip (Debian: apt-get install python3-pip python3-venv)"; exit 1; }

setup: python ## Check the machine, then fetch the Temporal dev server, the local model and the test tools (pinned).
	@$(PYTHON) tools/setup.py

setup-runtime: python
	@$(PYTHON) tools/setup.py --only runtime

# `--examples` makes cargo choose the features that the tests choose too; without it `make test` after `make demo` would
# compile most dependencies a second time.
build: ## Build the workers and pipelinectl.
	$(CARGO) build --workspace --locked --bins --examples

dev: setup-runtime build ## Run a Temporal server with its Web UI and both workers here; Ctrl-C stops all. ARGS= for options.
	@$(WITH_TOOLS) exec $(TARGET_DIR)/debug/pipelinectl dev $(ARGS)

demo: setup-runtime build ## Run the pipeline and a batch on the sample documents with the local model. KEEP=1 leaves it running.
	@$(WITH_TOOLS) exec $(PYTHON) tools/demo.py --binaries $(TARGET_DIR)/debug $(if $(KEEP),--keep) $(ARGS)

test: setup ## Run everything that must be green: lints, all tests, docs, wasm, dependencies. LONG=1 for longer fault tests.
	@$(PYTHON) tools/test.py

test-fast: setup ## Run the tests that need no Temporal server: unit, contract, tidy, replay, the journal on PostgreSQL.
	@$(PYTHON) tools/test.py fast

test-system: setup ## Run the tests on a real Temporal server with real workers.
	@$(PYTHON) tools/test.py build system

test-faults: setup ## Run the tests that kill, stall and cut off processes. LONG=1 for longer ones.
	@$(PYTHON) tools/test.py build faults

histories: setup-runtime build ## Record the runs that the replay tests hold today's workflows against (tests/histories).
	@$(WITH_TOOLS) exec $(PYTHON) tools/record_histories.py --binaries $(TARGET_DIR)/debug $(ARGS)

lint: ## Check formatting and lints.
	@$(PYTHON) tools/test.py fmt clippy

wasm: ## Check that the contract and workflow crates stay pure: they must compile for wasm32-unknown-unknown.
	@$(PYTHON) tools/test.py wasm

docs: ## Build the API documentation, broken links denied, and run its examples.
	@$(PYTHON) tools/test.py docs doctests

docs-config: build ## Write docs/configuration.md from what the workers say of their configuration.
	TAW_WRITE_DOCS=1 $(CARGO) test --workspace --locked --quiet --test system -- configuration::the_page

deny: setup ## Check licences, banned crates, sources and known vulnerabilities of all dependencies.
	@$(PYTHON) tools/test.py deny audit

bench: setup-runtime ## Measure what docs/performance.md shows, in a release build. ARGS= picks measurements and options.
	$(CARGO) build --release --locked -p ai-worker -p data-worker -p pipelinectl -p benches
	@$(WITH_TOOLS) CANDLE_NUM_THREADS=1 exec $(TARGET_DIR)/release/benches --bins $(TARGET_DIR)/release $(ARGS)

clean-dev: ## Delete the state of `make dev` and `make demo` in this clone (.dev): server database, journal, blobs.
	rm -rf .dev

.PHONY: help setup setup-runtime build dev demo test test-fast test-system test-faults histories lint wasm docs docs-config deny bench clean-dev
