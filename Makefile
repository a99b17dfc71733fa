# The commands of this project; `make` lists them. Needs python3 (3.11 or newer, with venv) and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast coverage soak bench check check-types check-page check-code check-settings check-locks check-pythons audit lock clean

# The supported versions, newest first, and how one is found: in the path, where a shim of pyenv may answer "command not
# found" (so each is tried), or among pyenv's own. `make PYTHON=/path/to/python3.12 setup` names another.
PYTHONS := 3.13 3.12 3.11
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
find-python = for python in $(foreach version,$(1),python$(version) $(PYENV)/$(version).*/bin/python); do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done
PYTHON ?= $(shell $(call find-python,3 $(PYTHONS)))
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PAGE := tools/page
PAGE_INSTALLED := $(PAGE)/node_modules/.installed
CLIENT := clients/javascript
CLIENT_INSTALLED := $(CLIENT)/node_modules/.installed
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-retries=5 --loglevel=error
COMPILE := uv pip compile --universal --generate-hashes --no-annotate --no-strip-extras --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: $(INSTALLED) ## Create .venv and install requirements.lock

run: $(INSTALLED) ## Start everything and print the address (options: make run ARGS="--port 4001")
	@exec $(BIN)/python manage.py up $(ARGS)

# Workers of pytest-xdist: more than cores, since most tests wait for other processes. `make test WORKERS=0`: none. On
# SQLite so few that those are not through long before the others: each costs 4 s of CPU before its first test.
WORKERS ?= $(shell $(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 3)')
SQLITE_WORKERS ?= $(shell echo $$(( $(WORKERS) / 2 )))
FAST_WORKERS ?= $(shell echo $$(( $(WORKERS) > 2 ? $(WORKERS) - 2 : $(WORKERS) )))
PYTEST = $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
COVER = $(if $(COVERAGE),--cov --cov-report= --cov-fail-under=0)
# Containers like to set it. Every process that the tests start would then compile every module again.
unexport PYTHONDONTWRITEBYTECODE

test: $(INSTALLED) ## Run every test on PostgreSQL, and on SQLite what `make run` uses there (COVERAGE=1: see coverage)
	@echo 'On PostgreSQL; those on SQLite run meanwhile.'; said=$$(mktemp); \
	NEXGENT_TEST_DATABASE=sqlite COVERAGE_FILE=.coverage-sqlite $(PYTEST) --numprocesses $(SQLITE_WORKERS) \
		tests/positions tests/realtime $(COVER) >$$said 2>&1 & sqlite=$$!; \
	$(PYTEST) --numprocesses $(WORKERS) $(COVER); code=$$?; \
	if wait $$sqlite; then echo "On SQLite: $$(tail -n 1 $$said)"; else code=$$?; echo 'On SQLite:'; cat $$said; fi; \
	rm -f $$said; exit $$code
ifdef COVERAGE
	@$(BIN)/python -m coverage combine --quiet --append .coverage-sqlite
	@$(BIN)/python -m coverage report --skip-covered
endif

coverage: ## Run them, and report which lines and branches they do not reach
	@$(MAKE) --no-print-directory test COVERAGE=1

test-fast: $(INSTALLED) ## Run the tests that need no server process: for the inner loop
	$(PYTEST) --numprocesses $(FAST_WORKERS) -m fast

soak: $(INSTALLED) ## Inject every fault while clients watch, for a quarter of an hour; print the figures (docs/reliability.md)
	@$(BIN)/python -m tests.reliability.soak $(ARGS)
	NEXGENT_TEST_RACES=50 $(BIN)/python -m pytest -q tests/realtime/test_resume.py -k race

bench: $(INSTALLED) ## Measure the cost, compared with bare servers and the tutorial way (docs/performance.md; ARGS="fan-out --quick")
	@$(BIN)/python -m benchmarks $(ARGS)

# Side by side, each of them with its output in one piece. mypy takes longest, so it starts first.
JOBS ?= $(shell $(BIN)/python -c 'import os; print(os.cpu_count() or 1)')
check: $(INSTALLED) ## Lint, types, missing migrations, deployment settings, the lock
	@$(MAKE) --no-print-directory --jobs $(JOBS) $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) \
		check-types check-page check-code check-settings check-locks

check-types: $(INSTALLED)
	$(BIN)/mypy

check-code: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

check-settings: $(INSTALLED)
	$(BIN)/python manage.py makemigrations --check --dry-run
	NEXGENT_DEBUG=0 NEXGENT_ALLOWED_HOSTS=example.org \
		NEXGENT_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

check-locks: $(INSTALLED)
	@$(BIN)/python deploy/audit_lock.py
	@$(BIN)/python deploy/audit_lock.py --lock deploy/requirements.lock
	@if grep -nE '://|(^|[[:space:]])--(extra-)?index-url|(^|[[:space:]])--(find-links|trusted-host)| @ ' requirements.lock deploy/requirements.lock; then \
		echo 'a lock must name no address: run `make lock`.' >&2; exit 1; fi
	@if grep -n '"resolved":' $(PAGE)/package-lock.json $(CLIENT)/package-lock.json tests/realtime/asyncapi/package-lock.json; then \
		echo 'a lock must name no address: npm install --omit-lockfile-registry-resolved' >&2; exit 1; fi

# Left out where there is no node; with CI=true, that is a failure. Nothing of npm's is shipped.
ifeq ($(and $(shell command -v node),$(shell command -v npm)),)
check-page:
	@echo 'NO NODE: the JavaScript of the page was not checked. Install node and npm.'; [ "$$CI" != true ]
else
check-page: $(PAGE_INSTALLED) $(CLIENT_INSTALLED) ## Lint and types of the JavaScript, the client's, too (part of check, where node and npm are)
	$(PAGE)/node_modules/.bin/eslint --config $(PAGE)/eslint.config.js \
		realtime/static positions/static realtime/templates $(PAGE) tests/realtime/asyncapi $(CLIENT)
	$(PAGE)/node_modules/.bin/tsc --project $(PAGE)
	$(PAGE)/node_modules/.bin/tsc --project $(PAGE)/tsconfig.worker.json
	$(CLIENT)/node_modules/.bin/tsc --project $(CLIENT)
endif

check-pythons: ## Run check and test-fast on every installed Python that is supported
	@for version in $(PYTHONS); do \
		python=$$($(call find-python,$$version)); \
		if [ -z "$$python" ]; then echo "Python $$version is not on this machine: not checked."; continue; fi; \
		folder=$$(mktemp -d); echo "Python $$version: $$python"; \
		$(MAKE) --no-print-directory PYTHON=$$python VENV=$$folder/venv check test-fast; code=$$?; \
		rm -rf $$folder; [ $$code -eq 0 ] || exit $$code; \
	done

audit: $(INSTALLED) ## Check the lock against a copy of a vulnerability database (ADVISORIES=all.zip, docs/security.md)
	@$(BIN)/python deploy/audit_lock.py $(if $(ADVISORIES),--advisories $(ADVISORIES))

lock: ## Update the versions in requirements.lock (needs uv)
	@command -v uv >/dev/null || { echo 'make lock needs uv: https://docs.astral.sh/uv/' >&2; exit 1; }
	$(COMPILE) pyproject.toml --extra dev -o requirements.lock
	$(COMPILE) pyproject.toml --extra project --constraint requirements.lock -o deploy/requirements.lock

clean: ## Remove .venv and caches; data in var/ stays
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis $(PAGE)/node_modules tests/realtime/asyncapi/node_modules \
		$(CLIENT)/node_modules $(CLIENT)/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp: installed again only when the lock changes.
$(INSTALLED): requirements.lock | $(BIN)/python
	@echo 'Installing into $(VENV), which takes about half a minute …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(PAGE_INSTALLED): $(PAGE)/package.json $(PAGE)/package-lock.json
	@$(NPM_CI) --prefix $(PAGE)
	@touch $@

$(CLIENT_INSTALLED): $(CLIENT)/package.json $(CLIENT)/package-lock.json
	@$(NPM_CI) --prefix $(CLIENT)
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo 'Python 3.11 or newer is needed, and none was found. Name one: make PYTHON=/path/to/python3.12 …' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'Python could not make $(VENV). On Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
