# `make` lists what can be made. Variables can be set on the command line: make test BACKENDS=sqlite

PYTHON ?= python3
BACKENDS ?= sqlite,postgresql,mariadb,openldap,389ds,samba
WORKERS ?= 3

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
RUN := .venv/installed-run
TEST := .venv/installed-test
# python-ldap is compiled when it is installed, so that only those who test directories need a compiler for it.
comma := ,
LIBLDAP := $(if $(filter openldap 389ds samba,$(subst $(comma), ,$(BACKENDS))),.venv/installed-libldap)

.DEFAULT_GOAL := help
.PHONY: help run run-ldap demo test bench lint format clean servers
export BACKENDS
# The workers of a test run and the hundreds of processes that they start import the same modules: nobody compiles them anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done

run: $(RUN) ## start the service; LANDFALL_BIND, LANDFALL_HOME and LANDFALL_CONFIG are honoured
	@exec $(BIN)/landfall serve

run-ldap: $(RUN) ## the same on a private OpenLDAP with sample people in it, which is started and stopped with it
	@exec deploy/run-ldap.sh

demo: $(RUN) ## replay an identity provider's requests against the running service
	@exec $(BIN)/landfall demo

# The checks run beside the tests, for they use one processor; what they say stands together.
test: servers $(TEST) $(LIBLDAP) ## check and test everything; BACKENDS (default: all) and WORKERS narrow it
	@{ said=$$($(MAKE) --no-print-directory lint 2>&1); status=$$?; echo "$$said"; exit $$status; } & checks=$$!; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --durations=25 --durations-min=5; \
	status=$$?; wait $$checks || exit $$?; exit $$status

bench: servers $(TEST) $(LIBLDAP) ## measure the service against a bare route on the same server
	$(BIN)/python -m tests.bench

lint: $(TEST) ## check style, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.conformance_table --check

format: $(TEST) ## put the code in its form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove everything made here except the data in var
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find app backends config tests -name __pycache__ -prune -exec rm -rf {} +

servers: # install the database servers that the tests start, where they are missing
	@deploy/install-test-servers.sh "$(BACKENDS)"

# The files are the proof that what they depend on is installed, so that the second time is quick.

.venv/created:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "$(PYTHON) is not there. Install Python 3.11 or later: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version) is too old. Name Python 3.11 or later: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

$(RUN): .venv/created requirements/run.txt setup.cfg pyproject.toml
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(TEST): $(RUN) requirements/test.txt
	$(PIP) --require-hashes -r requirements/test.txt
	@touch $@

.venv/installed-libldap: $(TEST) requirements/libldap.txt
	$(PIP) --require-hashes -r requirements/libldap.txt
	@touch $@
