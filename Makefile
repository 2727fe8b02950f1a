# Everything a person types. Each target calls what it needs; nothing is installed outside .venv, .venv-ministack and
# .venv-infra.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
EMULATOR := .venv-ministack
EMULATOR_STAMP := $(EMULATOR)/.ready
INFRA := .venv-infra
INFRA_STAMP := $(INFRA)/.ready
PACKAGED := out/lambda/.ready
PACKAGED_HERE := out/lambda-local/.ready
JOBS ?= 2

.PHONY: setup run serve test check bench fuzz chaos package synth aws-test aws-tested requirements clean help

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: $(STAMP) $(EMULATOR_STAMP) ## create .venv with the pinned dependencies, and .venv-ministack for the tests
$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(EMULATOR_STAMP): requirements/ministack.txt $(STAMP)
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(EMULATOR)
	@$(BIN)/uv pip install --quiet --python $(EMULATOR)/bin/python --require-hashes -r requirements/ministack.txt
	@touch $@

$(INFRA_STAMP): requirements/infra.txt $(STAMP)
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(INFRA)
	@$(BIN)/uv pip install --quiet --python $(INFRA)/bin/python --require-hashes -r requirements/infra.txt
	@touch $@

run: $(STAMP)    ## play one simulated trading day with the demo baskets
	@rm -rf out/demo
	@$(BIN)/baskets run examples/conservative-income.toml examples/three-accounts.toml \
		--date 2026-11-19 --seed 4 --speed max --data out/demo

serve: $(STAMP)  ## the API at http://127.0.0.1:8000 over a simulated market; books and users in DATA
	@$(BIN)/baskets serve --data $(or $(DATA),data)

test: setup      ## all tests but those of aws-test, with the slowest printed
	@$(BIN)/pytest -n $(JOBS) --ignore=tests/infra
	@echo "not among them: tests/infra and the deployed platform; make aws-test"

check: setup     ## style, types, layers, clock reads
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > .import-lint.log || (cat .import-lint.log; exit 1)
	@rm -f .import-lint.log
	@$(BIN)/python tools/house_rules.py

bench: setup     ## figures, side by side with peers or limits
	@$(BIN)/python -m benchmarks

fuzz: setup      ## engine beside reference on CASES random cases of SEED; ten times the samples of pricing; ten million ids; orders on a bad line; 10,000 requests of the API
	@OPTION_BASKETS_FUZZ=10 $(BIN)/pytest -n $(JOBS) -s tests/domain/test_black76.py tests/domain/test_implied.py
	@OPTION_BASKETS_FUZZ=20 $(BIN)/pytest -n $(JOBS) tests/domain/test_ids.py tests/engine/test_order_machine.py
	@$(BIN)/python -m tests.reference --jobs $(JOBS) --cases $(or $(CASES),20000) $(if $(SEED),--seed $(SEED))
	@$(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED))

chaos: setup     ## kill the engine KILLS times at any instant, and compare the exchange's book with an uninterrupted day's
	@$(BIN)/python -m tests.chaos --kills $(or $(KILLS),500) $(if $(SEED),--seed $(SEED)) $(if $(POWER),--power)

CODE := $(shell find src -name '*.py' -o -name '*.toml' -o -name '*.csv')
LAYERS := $(STAMP) requirements/lambda-events.txt requirements/lambda-api.txt infra/packages.py

package: $(PACKAGED) ## code and layers of the AWS functions, with their sizes, into out/lambda
$(PACKAGED): $(LAYERS) $(CODE)
	@$(BIN)/python -m infra.packages
	@touch $@
$(PACKAGED_HERE): $(LAYERS) $(CODE)
	@$(BIN)/python -m infra.packages --local --out out/lambda-local
	@touch $@

synth: $(INFRA_STAMP) $(PACKAGED) ## templates of all AWS environments into out/infra, as cdk-nag likes them
	@rm -rf out/infra && mkdir -p out/infra
	@CDK_OUTDIR=out/infra PYTHONPATH=src $(INFRA)/bin/python -m infra.app > out/synth.log 2>&1 || (cat out/synth.log; exit 1)

aws-test: setup  ## templates: statelint, cfn-lint, what they must hold; days of the timer, and one on the deployed platform (FULL=1: deaths too)
	@begun=$$(date +%s); $(MAKE) --no-print-directory aws-tested && echo "aws-test: $$(($$(date +%s) - begun)) s"
aws-tested:
	@part() { begun=$$(date +%s); "$$@" && echo "  $$(($$(date +%s) - begun)) s: $$*" | cut -c1-100; }; export CI=true; \
	part $(MAKE) --no-print-directory synth $(PACKAGED_HERE) || exit 1; \
	{ part env PYTHONPATH=src $(INFRA)/bin/python -m infra.lint && \
	part $(BIN)/pytest -n $(JOBS) --dist loadfile tests/infra; } > out/templates.log 2>&1 & templates=$$!; \
	part env OPTION_BASKETS_DEPLOYED=1 $(BIN)/pytest tests/aws/test_end_to_end.py tests/aws/test_faults.py; \
	deployed=$$?; wait $$templates; templates=$$?; cat out/templates.log; [ $$deployed$$templates = 00 ]

requirements: setup ## compile the pinned requirement files anew
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 --universal pyproject.toml -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 --universal --group dev --extra aws pyproject.toml -o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 --universal requirements/ministack.in -o requirements/ministack.txt
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 --universal requirements/peers.in -o requirements/peers.txt
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 --universal requirements/infra.in -o requirements/infra.txt
	@for layer in events api; do $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 --universal -c requirements/dev.txt requirements/lambda-$$layer.in -o requirements/lambda-$$layer.txt; done

clean:           ## remove what the other targets made
	rm -rf $(VENV) $(EMULATOR) $(INFRA) .mypy_cache .ruff_cache .pytest_cache .hypothesis out
