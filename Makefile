# Two commands for a fresh machine with Python 3.11+ and make: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What a file sets up is set up once.
BY_FILE := --dist loadfile --no-loadscope-reorder
# Commands that tests start find what was compiled before, wherever it was forbidden to keep it.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test long torture audit lint check clean help fuzz

help:            ## what can be typed
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

demo: $(VENV)/.installed   ## install into .venv and run the whole job once
	$(BIN)/passbox demo

test: $(VENV)/.installed-test lint   ## lint, types, import contracts and tests
	$(BIN)/pytest -n auto $(BY_FILE)

long: $(VENV)/.installed-test   ## the tests that take longest, which `make test` leaves out (some minutes)
	$(BIN)/pytest -n auto $(BY_FILE) -m long

torture: $(VENV)/.installed-test   ## kills, power cuts, failing disks and planted faults at full length (an hour)
	$(BIN)/python tests/torture/kills.py --kills 10000
	$(BIN)/python tests/torture/power.py --images 10000
	$(BIN)/python tests/torture/power.py --images 1000 --control
	$(BIN)/python tests/torture/races.py --racers 64 --times 20
	$(BIN)/python tests/torture/orders.py --steps 100000
	$(BIN)/python tests/torture/conditions.py --kills 200
	$(BIN)/python tests/torture/planted.py
	$(BIN)/python tests/torture/faults.py

audit: $(VENV)/.installed-test   ## the noise at full length: 10^6 draws of two worlds, for each way that numbers leave
	$(BIN)/python tests/statistical/audit.py

fuzz: $(VENV)/.installed-test   ## a million mutated inputs for everything that reads a party's values; other examples than in make test (some minutes)
	$(BIN)/python tests/fuzz/parsers.py --inputs 1000000
	$(BIN)/pytest -n auto -m hypothesis --hypothesis-profile=anew

lint: $(VENV)/.installed-test   ## everything but the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Passbox needs Python 3.11 or newer"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group test
	@touch $@

clean:           ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
