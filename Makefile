# The short commands; the `course` command does the work, setup.mk the set-up.

EXTRAS := ,dev

.PHONY: run test lab build clean bench lint

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

# Not .venv, data or work.
clean:
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -prune -exec rm -rf {} +

# At the end: the first target here is what a bare `make` does.
include setup.mk
