# `make` or `make help` lists the targets. Python 3.11 or later and make are all that a machine needs.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := .venv/bin
export PYTHONPATH := $(CURDIR)

# How many test processes; PYTEST takes further options: make test PYTEST="-k money -x".
JOBS ?= 2
PYTEST ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: python
python:
	@test -n "$(PYTHON)" || { echo "需要 Python 3.11 或更高版本 / Python 3.11 or later is needed: install it, or make PYTHON=/path/to/python3.11" >&2; exit 1; }

.PHONY: install
install: python ## make .venv with what running needs
	@$(PYTHON) scripts/install.py requirements.txt

.PHONY: install-dev
install-dev: python ## make .venv with what tests and linters need too
	@$(PYTHON) scripts/install.py requirements-dev.txt

# Passed on only where given, so that an empty value means the default.
export ONCE DOCUMENTS SEED EVENTS PORT N LEVEL LOSS

.PHONY: run
run: install ## start everything, run each book once, stay up (ONCE=1 DOCUMENTS=n SEED=n EVENTS=folder PORT=n)
	@$(BIN)/python -m scripts.run

.PHONY: test
test: install-dev ## run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope $(PYTEST)

.PHONY: topology
topology: install-dev ## run the main job on the production topology: PostgreSQL, Redis, a Celery worker
	$(BIN)/python -m pytest -m topology tests/topology $(PYTEST)

.PHONY: pairs
pairs: install-dev ## run the main job from every OA to every ledger
	$(BIN)/python -m pytest -n $(JOBS) -m pairs tests/pairs $(PYTEST)

.PHONY: conformance
conformance: install ## every connector, every case
	PYTHONPATH=$(CURDIR):$(CURDIR)/plugins ./voucherflow conformance --all

.PHONY: chaos
chaos: install-dev ## break everything around posting and let an auditor count (N=faults LOSS=vouchers SEED=n LEVEL=name)
	PYTHONPATH=$(CURDIR):$(CURDIR)/plugins $(BIN)/python -m tests.chaos

.PHONY: bench
bench: install-dev ## measure, and write .run/bench.json (BENCH=name BENCH_DOCUMENTS=n BENCH_RUNS=n)
	$(BIN)/python -m bench

.PHONY: mutate-rules
mutate-rules: install-dev ## change one rule of the example books at a time and count what is caught
	$(BIN)/python -m scripts.mutate_rules

.PHONY: schemas
schemas: install-dev ## write the JSON schemas of templates, books and sources anew
	$(BIN)/python -m include.schemas

.PHONY: lint
lint: install-dev ## check style, types, import contracts and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

.PHONY: format
format: install-dev ## rewrite the code in the house style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: lock
lock: install-dev ## pin requirements.in and requirements-dev.in anew
	$(BIN)/uv pip compile requirements.in -o requirements.txt --universal --python-version 3.11 --no-header --upgrade -q
	$(BIN)/uv pip compile requirements-dev.in -o requirements-dev.txt --universal --python-version 3.11 --no-header --upgrade -q

.PHONY: clean
clean: ## remove .venv and caches (never .run: it holds the books)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
