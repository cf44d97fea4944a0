# One environment, made once: uv when present, pip otherwise, versions pinned in constraints.txt.
PYTHON ?= python3
# The suite waits more than it computes: four processes for two cores.
TEST_PROCESSES ?= 4
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo serve test docs bench bench-long bench-compare bench-replay faults study study-quality study-promotion check format clean

$(STAMP): pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
	  test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev,docs]'; \
	else \
	  test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'; \
	fi
	@touch $(STAMP)

setup: $(STAMP)  ## the environment only

demo: $(STAMP)  ## start the service, drive it with the shopping world, show what it learned
	$(BIN)/cxi-bandit demo

serve: $(STAMP)  ## the service on 127.0.0.1:8000, development mode (no keys)
	$(BIN)/cxi-bandit serve --dev

# So many processes are started that none may have to compile again what another has compiled.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP)  ## the whole test suite
	$(BIN)/python -m pytest -n $(TEST_PROCESSES)

docs: $(STAMP)  ## the site of all pages, in build/site; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site

bench-replay: $(STAMP)  ## a replay beside bare numpy, scoring beside VW's own driver
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m simulator.bench.replay

bench: $(STAMP)  ## the service beside yardsticks, as ratios taken in one run (twelve minutes)
	$(BIN)/python -m simulator.bench --output bench.json

bench-long: $(STAMP)  ## the same with ten million decisions in the log, and a worker after a million
	$(BIN)/python -m simulator.bench --long --output bench-long.json

bench-compare: $(STAMP)  ## the bench, held against the figures recorded last: fails where a ratio fell by over a fifth
	$(BIN)/python -m simulator.bench --output bench.json --compare

faults: $(STAMP)  ## every promise, proved by faults: one line each (twenty minutes; FULL=1 for all trials)
	$(BIN)/python -m tests.faults $(if $(FULL),--full) --json faults.json

study: $(STAMP)  ## the statistics behind the claims: coverage of intervals, false go-lives, learning (tens of minutes)
	$(BIN)/python -m simulator.studies.coverage_study
	$(BIN)/python -m simulator.studies.gate_study
	$(BIN)/python -m simulator.studies.demo_study
	$(BIN)/python -m simulator.studies.quality_study
	$(BIN)/python -m simulator.studies.promotion_study
	$(BIN)/python -m simulator.studies.reexecution_study

study-quality: $(STAMP)  ## progressive reward beside Vowpal Wabbit's own driver (a quarter of an hour)
	$(BIN)/python -m simulator.studies.quality_study

study-promotion: $(STAMP)  ## candidates from proposal to their end, in worlds that stay or change (a quarter of an hour)
	$(BIN)/python -m simulator.studies.promotion_study

check: $(STAMP)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)
