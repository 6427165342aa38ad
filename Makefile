# Two commands on a fresh machine: `make up` and `make test`. Each does its own set-up; ARGS goes to the program,
# for example `make up ARGS=--json` or `make test ARGS=tests/audit`.
.DEFAULT_GOAL := help
.PHONY: help setup up test fuzz chaos check coverage lock docs dist bench bench-audit load
BIN := .venv/bin
ARGS ?=

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## make .venv from the locked, hashed requirements
	@.ci/setup $(ARGS)

up: ready ## everything on one machine: PostgreSQL, services, gateway, query API, development issuer
	@$(BIN)/lychgate up $(ARGS)

test: ready programs studies $(if $(CI),tools) ## the tests, on real servers, two at a time; ARGS narrows them: ARGS=tests/audit
	@$(BIN)/pytest $(if $(ARGS),$(ARGS),-n 2 --dist worksteal)

fuzz: ready ## a million hostile inputs through the data plane; ARGS="--inputs N --seed S", "--replay S:N" or --guided
	@$(BIN)/python -m tests.fuzz $(ARGS)

chaos: ready programs ## kill, stop, fill and move what the audit rests on; ARGS="--rounds 20 --seed N --form both"
	@$(BIN)/python -m tests.chaos $(ARGS)

check: ready ## lint, types, import contracts, policies, events, the repository's own rules; ARGS goes to ruff: ARGS=--fix
	@$(BIN)/ruff check $(ARGS)
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/lychgate policy fmt --check
	@$(BIN)/lychgate policy check
	@$(BIN)/lychgate audit coverage services --fail-under 0.90
	@$(BIN)/lychgate audit lint
	@$(BIN)/pytest -q tests/test_repository.py tests/test_environment.py
	@$(BIN)/towncrier build --draft --version unreleased > /dev/null 2>&1 || $(BIN)/towncrier build --draft

coverage: ready ## which changes of services/ nobody would know of; ARGS="--handlers --diff main"
	@$(BIN)/lychgate audit coverage services --fail-under 0.90 $(ARGS)

lock: ready ## pin the dependencies again, with hashes; names no index
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --quiet --custom-compile-command 'make lock' -o requirements.lock $(ARGS)
	@$(BIN)/uv pip compile load/requirements.in --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --quiet --custom-compile-command 'make lock' -o load/requirements.lock $(ARGS)
	@$(BIN)/uv pip compile spikes/requirements.in --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --quiet --custom-compile-command 'make lock' -o spikes/requirements.lock $(ARGS)

docs: ready ## generate docs/reference from the code, and build the site into site/, strictly; ARGS="--site-dir FOLDER"
	@.ci/site
	@$(BIN)/python -m lychgate.reference
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS) # not --quiet: that makes strict blind

dist: ready ## wheel and sdist in dist/: the same bytes from the same commit, on any machine
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(BIN)/python -m hatchling build -t sdist -t wheel $(ARGS)

bench: ready tools ## measure beside nginx and Envoy (ARGS=--quick, --json), or one part alone: ARGS=load/decision.py
	@$(BIN)/python $(if $(filter %.py,$(firstword $(ARGS))),,-m load.bench) $(ARGS)

bench-audit: ready programs ## events a second from emit to visible row, backlog, latency (ARGS="--only direct", --json)
	@$(BIN)/python -m load.audit $(ARGS)

load: ready tools ## a minute of shop traffic on `lychgate up`, every answer checked; ARGS="--seconds 600"
	@$(BIN)/python load/shop.py $(ARGS)

.PHONY: ready programs studies tools
ready:
	@.ci/setup

programs:
	@.ci/programs

studies: ready
	@spikes/setup

tools: ready
	@load/setup
