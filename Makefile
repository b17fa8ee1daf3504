# Python 3.11 or newer (with its venv module), make and git are all that is needed: the rest goes into .venv.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# The newest Python that truly runs: a name on the path may be a shim for a version that is not there.
usable = -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p $(usable) && { echo $$p; break; }; done)

# The whole world (dev) holds the demonstration, which holds the service: one set of versions for all three.
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command='make lock' $(if $(filter 1,$(UPGRADE)),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help demo test test-integration check format bench lock clean

help:
	@echo 'make demo     a FHIR server, the service and a sandbox EHR on this machine (ONCE=1: print the cards and end)'
	@echo '              (FAULT=name: with an EHR that misbehaves so, see docs/faults.md)'
	@echo 'make test     every check and every test'
	@echo 'make test-integration   signs orders against your FHIR server (THERAPY_CDS_TEST_FHIR=URL), see docs/integration.md'
	@echo 'make check    style, types, import rules, policies, container files'
	@echo 'make format   puts the code into the house style'
	@echo 'make bench    measures what order-sign costs'
	@echo 'make lock     writes requirements/ anew from pyproject.toml (UPGRADE=1: with the newest versions)'
	@echo 'make clean    removes .venv and everything else that was generated'

demo: $(VENV)/.demo
	@$(BIN)/therapy-cds demo $(if $(filter 1,$(ONCE)),--once) $(foreach fault,$(FAULT),--fault '$(fault)')

test: check
	$(BIN)/pytest

test-integration: $(VENV)/.dev
	@test -n "$$THERAPY_CDS_TEST_FHIR" || { echo 'Name a FHIR server: THERAPY_CDS_TEST_FHIR=URL make test-integration' >&2; exit 2; }
	$(BIN)/pytest -s tests/integration/test_any_server.py

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/therapy-cds policy check
	$(BIN)/yamllint --strict cds/policies fhir_profiles docker
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench

lock: $(VENV)/.dev
	$(LOCK) --extra demo --extra postgresql --group build --group dev -o requirements/dev.txt
	$(LOCK) --extra demo --extra postgresql --group build -c requirements/dev.txt -o requirements/demo.txt
	$(LOCK) --extra postgresql --group build -c requirements/dev.txt -o requirements/runtime.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find cds hooks tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The files below say what has been installed, so that a second run has nothing to do.

$(VENV)/.made:
	@python='$(PYTHON)'; \
	if ! $${python:-false} $(usable); then \
		echo "therapy-cds needs Python 3.11 or newer with its venv module, and found none$${python:+ as $$python}." >&2; \
		echo 'Install one (Debian: apt-get install python3-venv), or name it: make PYTHON=/path/to/python3' >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$python --version)"; \
	$$python -m venv --clear $(VENV)
	@touch $@

$(VENV)/.demo: requirements/demo.txt pyproject.toml $(VENV)/.made
	@echo 'Installing what the demonstration needs (the first time takes a minute)'
	@$(PIP) install --require-hashes -r requirements/demo.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml $(VENV)/.made
	@echo 'Installing what the tests need (the first time takes a minute)'
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(VENV)/.demo $@
