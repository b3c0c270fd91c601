# Everything runs in .venv, which is created if it is missing. `make` without a target lists the targets.
# Works with GNU Make 3.81, the version of macOS.

ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := .venv/Scripts
RUN := $(BIN)/python.exe
else
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
endif

# Exits with 1 and a message unless the Python version is supported.
CHECK := import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else \
	"$(PYTHON) is Python %d.%d; 3.11, 3.12 or 3.13 is needed. Select one: make PYTHON=python3.12 train" % v[:2])

# How packages are installed, e.g. INSTALL="uv pip install -c constraints.txt".
INSTALL ?= $(RUN) -m pip install -q -c constraints.txt

.PHONY: help env train test test-all test-fast test-slow lint format upgrade rename strip notebooks bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

env: .venv/.test  ## create .venv with everything that tests need; PYTHON=python3.12 selects the Python

# Stamps: while one is newer than both files, nothing is installed. Training starts faster without the packages of the
# tests: torchmetrics imports scipy, which scikit-learn installs, if it is there.
.venv/.train: pyproject.toml constraints.txt | $(RUN)
	$(INSTALL) -e .
	@touch $@

.venv/.test: pyproject.toml constraints.txt | $(RUN)
	$(INSTALL) -e ".[test]"
	@touch .venv/.train $@

$(RUN):
	@command -v $(PYTHON) >/dev/null || \
		{ echo "There is no $(PYTHON) here; Python 3.11, 3.12 or 3.13 is needed. Select one: make PYTHON=python3.12 train" >&2; exit 1; }
	@$(PYTHON) -c '$(CHECK)'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

train: .venv/.train  ## train; ARGS="model=wide epochs=20" adds options
	$(RUN) train.py $(ARGS)

test: lint test-fast  ## lint and the fast tests

test-all: test test-slow  ## lint and all tests

test-fast: env  ## run the fast tests (about three minutes)
	$(RUN) -m pytest -n auto --maxprocesses=8 -m "not slow"

test-slow: env  ## run the slow tests
	$(RUN) -m pytest -n auto --maxprocesses=8 -m slow

lint: env  ## run ruff, mypy and the import contracts, without changing files
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(BIN)/lint-imports --no-cache

format: env  ## fix and format with ruff
	$(RUN) -m ruff check --fix --exit-zero
	$(RUN) -m ruff format

# In a new environment, so that no installed version holds another one back. Local versions (+cpu) and the libraries of
# a GPU belong to one machine and are left out.
upgrade:  ## pin the newest versions that pyproject.toml allows in constraints.txt, then test
	@$(PYTHON) -c '$(CHECK)'
	rm -rf build/upgrade
	$(PYTHON) -m venv build/upgrade
	build/upgrade/$(notdir $(BIN))/python -m pip install -q -e ".[test]"
	build/upgrade/$(notdir $(BIN))/python -m pip freeze --exclude-editable > build/upgrade/frozen.txt
	@echo '# The versions that the tests last ran with. `make upgrade` rewrites this file.' > build/upgrade/constraints.txt
	grep == build/upgrade/frozen.txt | grep -v -i -E '^(nvidia|cuda|triton)' | sed 's/+[A-Za-z0-9.]*$$//' \
		>> build/upgrade/constraints.txt
	mv build/upgrade/constraints.txt constraints.txt
	rm -rf build/upgrade
	$(MAKE) test

rename: env  ## rename the package: make rename NAME=myproject
	@test -n "$(NAME)" || { echo "The new name is missing: make rename NAME=myproject" >&2; exit 2; }
	$(RUN) -m kindling rename $(NAME)
	$(RUN) -m ruff check -q --fix --exit-zero
	$(RUN) -m ruff format -q

strip: env  ## delete an optional part: make strip EXTRA=lectures, or all; without EXTRA list them
	$(RUN) -m kindling strip $(EXTRA)

notebooks: env  ## run the notebooks and store their outputs in them
	$(RUN) notebooks/execute.py

bench: env  ## training time next to a raw PyTorch loop
	$(RUN) tests/benchmarks/overhead.py

clean:  ## delete caches and build outputs; keep .venv and runs
	rm -rf build dist .pytest_cache .ruff_cache src/*.egg-info
	find src tests conf notebooks -name __pycache__ -prune -exec rm -rf {} +
