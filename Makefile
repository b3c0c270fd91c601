# Everything runs in .venv, which is made when it is missing. `make` alone lists the targets.
# Works with GNU Make 3.81, the one that macOS brings.

ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := .venv/Scripts
RUN := $(BIN)/python.exe
else
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
endif

# python -c prints this and exits with 1, or exits with 0
CHECK := import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else \
	"$(PYTHON) is Python %d.%d; 3.11, 3.12 or 3.13 is needed. Name one: make PYTHON=python3.12 train" % v[:2])

.PHONY: help env train test test-all lint format upgrade rename strip bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

env: .venv/.test  ## make .venv and install everything, also what the tests need; PYTHON=python3.12 names the Python

# Stamps: while one is newer than both files, nothing has to be installed. Training needs less than the tests, and
# starts faster without scikit-learn, whose scipy torchmetrics imports where it is installed.
.venv/.train: pyproject.toml constraints.txt | $(RUN)
	$(RUN) -m pip install -q -c constraints.txt -e .
	@touch $@

.venv/.test: pyproject.toml constraints.txt | $(RUN)
	$(RUN) -m pip install -q -c constraints.txt -e ".[test]"
	@touch .venv/.train $@

$(RUN):
	@command -v $(PYTHON) >/dev/null || \
		{ echo "There is no $(PYTHON) here; Python 3.11, 3.12 or 3.13 is needed. Name one: make PYTHON=python3.12 train" >&2; exit 1; }
	@$(PYTHON) -c '$(CHECK)'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

train: .venv/.train  ## train; ARGS="model=wide epochs=20" adds options
	$(RUN) train.py $(ARGS)

test: lint  ## lint and the fast tests
	$(RUN) -m pytest -n auto --maxprocesses=8 -m "not slow"

test-all: test  ## lint and all tests: what CI runs
	$(RUN) -m pytest -n auto --maxprocesses=8 -m slow

lint: env  ## ruff's rules and format, mypy, and which folder may import which; changes nothing
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(BIN)/lint-imports --no-cache

format: env  ## ruff: mend and format
	$(RUN) -m ruff check --fix --exit-zero
	$(RUN) -m ruff format

# In an environment of its own, so that nothing old holds a version back.
# A wheel's local version (+cpu) and a GPU's libraries belong to one machine, so they are left out.
upgrade:  ## write the newest versions that pyproject.toml allows to constraints.txt, then test
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

rename: env  ## give the project your name: make rename NAME=myproject
	@test -n "$(NAME)" || { echo "Say the new name: make rename NAME=myproject" >&2; exit 2; }
	$(RUN) -m kindling rename $(NAME)
	$(RUN) -m ruff check -q --fix --exit-zero
	$(RUN) -m ruff format -q

strip: env  ## delete an optional part: make strip EXTRA=lectures, or all (without EXTRA: list them)
	$(RUN) -m kindling strip $(EXTRA)

bench: env  ## training time beside a raw PyTorch loop
	$(RUN) tests/benchmarks/overhead.py

clean:  ## delete caches and build outputs; .venv and runs stay
	rm -rf build dist .pytest_cache .ruff_cache src/*.egg-info
	find src tests conf notebooks -name __pycache__ -prune -exec rm -rf {} +
