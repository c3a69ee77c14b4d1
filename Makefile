# Everything sets itself up: a virtual environment in .venv, then the work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# One thread per process: the tests and the generator use processes, not threads.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help demo test test-all lint clean
help:
	@echo "make demo      build the embedded synthetic sounds, write 200 scenes, train two small nets, write a report"
	@echo "make test      lint, types, import rules, tests (about 9 minutes on 2 cores)"
	@echo "make test-all  the same with the slow tests"
	@echo "make clean     remove .venv and demo/"

$(BIN)/.ready-demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[demo,train]"
	@touch $@

$(BIN)/.ready-dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@ $(BIN)/.ready-demo

demo: $(BIN)/.ready-demo
	$(BIN)/s5kit demo run --out demo

lint: $(BIN)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

clean:
	rm -rf $(VENV) demo
