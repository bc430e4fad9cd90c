# Every target is explained by `make help`. All of them set up what they need.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

# Settings of `make run`: SECONDS of traffic (none: until Ctrl-C), RATE in payments/s, FAULTS a profile,
# SCENARIOS of fraud (all by default), CARDS a card file, EDGE=connector for the production DDL with the jars in flink_app/lib.
# SECONDS is a variable of its own in some shells, so only what make was told counts.
RUN_OPTIONS := $(if $(filter command line environment,$(origin SECONDS)),--seconds $(SECONDS)) \
	$(if $(RATE),--rate $(RATE)) $(if $(FAULTS),--faults $(FAULTS)) \
	$(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(CARDS),--cards $(CARDS)) \
	$(if $(EDGE),--edge $(EDGE))

CHECKS := types lint sql templates derived
.PHONY: help setup setup-dev setup-fuzz run connector monitor ui down test check contract cost bench soak chaos fuzz lock $(CHECKS:%=check-%)

help: ## Explain the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Create the locked environments that `make run` needs (Python 3.11 or newer is enough)
	@$(PYTHON) tools/setup.py --only run

setup-dev setup-fuzz:
	@$(PYTHON) tools/setup.py --only $(@:setup-%=%)

run: setup ## Run the whole system on this machine: make run [SECONDS=90] [RATE=20] [FAULTS=all]
	@$(BIN)/cardwatch run $(RUN_OPTIONS)

connector: ## Fetch the Kinesis connector for AWS, verified: make connector [CONNECTOR_REPOSITORY=<address>]
	@$(PYTHON) tools/flink_package.py connector \
		$(if $(CONNECTOR_REPOSITORY),--repository $(CONNECTOR_REPOSITORY))

monitor: setup ## Start Prometheus over the run, where the machine has it
	@$(BIN)/cardwatch monitor

ui: setup ## Print where the run's pages are: dashboard, Flink, metrics, Prometheus
	@$(BIN)/cardwatch ui

down: setup ## Stop whatever a run left behind
	@$(BIN)/cardwatch down

# In two parts, so that no worker collects what the other part has: that takes half a minute of CPU each.
# Two workers keep two cores busy; a third starves what runs at the lowest priority, and saves nothing.
SUITE = $(BIN)/coverage run -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
PURE = tests/contract tests/handlers tests/unit
test: setup-dev ## Run every test, the end-to-end test included, and measure what of src they reach
	@rm -rf .coverage
	$(SUITE) $(PURE)
	$(SUITE) tests $(PURE:%=--ignore=%) --ignore=tests/e2e
	$(BIN)/coverage run -m pytest tests/e2e
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --skip-empty

# Two at a time: each uses one core.
check: setup-dev ## Lint, types, dependency rule, SQL, templates, security, contract drift
	@$(MAKE) --no-print-directory --jobs 2 $(CHECKS:%=check-%)

check-types:
	$(BIN)/mypy src functions flink_app dashboard tools tests

check-lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src functions flink_app dashboard tools

check-sql:
	$(BIN)/sqlfluff lint --disable-progress-bar warehouse flink_app/sql dashboard/queries

check-templates:
	$(BIN)/cfn-lint template.yaml infra/*.yaml
	.venvs/sam/bin/python tools/transform.py --unconditional --out .aws-sam/checked template.yaml infra/*.yaml
	.venvs/checkov/bin/checkov --config-file .checkov.yaml --file .aws-sam/checked/*.json

check-derived:
	$(BIN)/python tools/contract.py --check
	$(BIN)/python tools/compatibility.py
	$(BIN)/python tools/cost.py --check

contract: setup-dev ## Generate what is derived from the event contract
	$(BIN)/python tools/contract.py

cost: setup-dev ## Compute docs/cost.md from tools/prices.yaml and the templates
	$(BIN)/python tools/cost.py

bench: setup-dev ## Measure, and write docs/benchmarks.md: make bench [SECTIONS="detection producer"]
	$(BIN)/python tools/bench.py $(SECTIONS)

soak: setup-dev ## Run for days in minutes, by a moved clock: make soak [HOURS=48] [SPEED=10 hours a minute] [RATE=20]
	$(BIN)/python -m tools.soak $(if $(HOURS),--hours $(HOURS)) $(if $(SPEED),--speed $(SPEED)) $(if $(RATE),--rate $(RATE))

chaos: setup ## Try faults on the whole system, and write docs/reliability.md: make chaos [MINUTES=20] [SEED=1] [RATE=100]
	@$(BIN)/cardwatch chaos --document docs/reliability.md $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(SEED),--seed $(SEED)) $(if $(RATE),--rate $(RATE))

fuzz: setup-fuzz ## Feed what others write with inputs by the code that they reach: make fuzz [TARGETS="record page"] [RUNS=100000] [KEEP=1]
	$(BIN)/python -m tools.fuzz $(TARGETS) $(if $(RUNS),--runs $(RUNS)) $(if $(KEEP),--keep)

# One locked, hashed file per environment, without index or download addresses.
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
	--no-emit-index-url --no-emit-find-links --no-header $(if $(UPGRADE),--upgrade)
lock: setup-dev ## Lock every environment again: make lock [UPGRADE=1]
	$(COMPILE) pyproject.toml -o requirements/layer.txt
	$(COMPILE) pyproject.toml --extra local -o requirements/cardwatch.txt
	$(COMPILE) --group pyproject.toml:banking -c requirements/cardwatch.txt -o requirements/banking.txt
	$(COMPILE) --group pyproject.toml:dashboard -c requirements/cardwatch.txt -o requirements/dashboard.txt
	$(COMPILE) --group pyproject.toml:dashboard-aws -c requirements/cardwatch.txt -c requirements/dashboard.txt \
		-o requirements/dashboard-aws.txt
	$(COMPILE) pyproject.toml --extra local --group dev -c requirements/cardwatch.txt \
		-c requirements/dashboard.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra local --group fuzz -c requirements/dev.txt -o requirements/fuzz.txt
	for group in checkov flink ministack sam setup build; do \
		$(COMPILE) --group pyproject.toml:$$group -o requirements/$$group.txt || exit 1; done
