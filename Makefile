# Everything happens in .venv; nothing else of the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The part of the tests that a version of a dependency can break.
CORE := tests/fundamentals tests/ordering/test_attempts.py tests/ordering/test_closure.py tests/packaging/test_bounds.py tests/packaging/test_servers.py \
	tests/simulation/test_ambient.py tests/simulation/test_loop.py tests/simulation/test_stores.py tests/simulation/test_world.py

.PHONY: demo test check nightly test-minimum test-newest test-queues notebooks clean

demo: $(STAMP)  ## run real events through the engine and show the verdict
	$(BIN)/causim run scenarios/prefect-etl.toml scenarios/late-leader.toml scenarios/missing-leader.toml

test: $(STAMP)  ## everything that CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2

check: $(STAMP)  ## the quick part of `make test`
	$(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

nightly: $(STAMP)  ## what takes long: resumable, its results are under results/nightly
	.ci/nightly

test-minimum:  ## the core with every dependency at the least version that is declared
	$(PYTHON) -m venv --clear .venv-minimum
	$(PYTHON) .ci/minimum.py > .venv-minimum/least.txt
	.venv-minimum/bin/python -m pip install --quiet --editable '.[dev]' --constraint .venv-minimum/least.txt
	.venv-minimum/bin/python -m pytest -n 2 $(CORE)

test-newest:  ## the core with the newest version of everything
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[dev]'
	.venv-newest/bin/python -m pytest -n 2 $(CORE)

test-queues:  ## each task queue in an environment of its own
	.ci/queues

notebooks: $(STAMP)  ## open the notebooks in Jupyter
	$(BIN)/pip install --quiet --editable '.[notebooks]'
	$(BIN)/jupyter lab notebooks

# An installation is made again when the project's requirements change.
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "causim needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,prefect]'
	touch $(STAMP)

clean:  ## remove what was installed and what was cached
	rm -rf $(VENV) .venv-minimum .venv-newest .venv-queue-* .causim .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
