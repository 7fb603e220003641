# Set-up and the short commands; the `course` command does the work. Needs Python 3.11 or newer as PYTHON.

PYTHON ?= python3
BIN := .venv/bin
EXTRA := $(shell nvidia-smi -L 2>/dev/null | grep -q '^GPU' && echo gpu || echo cpu)

.PHONY: run test lab build clean bench lint data

run: data
	$(BIN)/course run

# The full execution of the solutions is the last step; claims outside their band raise there.
test: lint data
	$(BIN)/python -m pytest -n 2 --dist loadfile
	COURSE_FAST=0 COURSE_STRICT=1 COURSE_HEADLESS=1 $(BIN)/python -m pytest \
		--nbval-lax --nbval-cell-timeout=600 -n 2 --dist loadfile solutions/*.ipynb

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/course build --check

lab: data
	$(BIN)/course lab

build: data
	$(BIN)/course build

# Each solution with ten seeds, and the slow tables: hours, for maintainers, after an upgrade.
bench: data
	set -e; for lab in $(wildcard solutions/*.py); do \
		$(BIN)/python benchmarks/measure_claims.py $$(basename $$lab .py); done
	set -e; for script in $(wildcard benchmarks/lab*.py); do $(BIN)/python $$script; done

data: .venv/installed
	$(BIN)/course data

# Made once, and again only when what to install changes. -c: the lock limits versions, it installs nothing itself.
.venv/installed: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -c requirements.lock -e ".[$(EXTRA),dev]"
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

# Not .venv, data or work.
clean:
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -prune -exec rm -rf {} +
