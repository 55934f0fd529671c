# Everything a newcomer or CI needs. The only requirements are make and Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
# Processes of one thread each: busy threads that share a core are ten times slower than one. An idle
# process takes quick tests from the other's queue; of slow ones it takes files, whose fixtures cost minutes.
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS)
EDITABLE := -e . $(foreach plugin,$(PLUGINS),-e ./$(plugin))

.PHONY: help setup demo test test-slow lint types imports lock clean

help:
	@echo "make demo       decompose, compose, edit, train for a minute: everything in out/demo"
	@echo "make test       lint, types, layers and the fast tests"
	@echo "make test-slow  the tests marked slow; WORKERS=4 for more than two cores, here as above"
	@echo "make lock       renew requirements.lock"

setup: $(READY)

# uv comes from its own pinned, hashed file; everything else from requirements.lock.
$(READY): requirements.lock requirements-uv.lock pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "composer-pl needs Python 3.11 or newer; try make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(EDITABLE)
	touch $(READY)

demo: setup
	$(BIN)/composer-pl demo --out out/demo

test: setup lint types imports
	$(PYTEST) --dist worksteal -m "not slow"

test-slow: setup
	$(PYTEST) --dist loadfile -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/pyright

imports: setup
	$(BIN)/lint-imports

lock: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --extra eval --extra hub --extra video --group dev pyproject.toml plugins/*/pyproject.toml \
		--no-emit-package composer-pl $(foreach plugin,$(PLUGINS),--no-emit-package composer-pl-$(notdir $(plugin))) \
		-o requirements.lock
	echo "uv==$$($(BIN)/uv --version | cut -d' ' -f2)" | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate - -o requirements-uv.lock

clean:
	rm -rf $(VENV) out
