# The set-up, for the course's own Makefile and for that of a release. Needs Python 3.11 or newer as PYTHON.

PYTHON ?= python3
BIN := .venv/bin
EXTRA := $(shell nvidia-smi -L 2>/dev/null | grep -q '^GPU' && echo gpu || echo cpu)

.PHONY: data

data: .venv/installed
	$(BIN)/course data

# Made once, and again only when what to install changes. -c: the lock limits versions, it installs nothing itself.
.venv/installed: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -c requirements.lock -e ".[$(EXTRA)$(EXTRAS)]"
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
