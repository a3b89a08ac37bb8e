# Everything happens in .venv; nothing else of the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check notebooks clean

demo: $(STAMP)  ## run real events through the engine and show the verdict
	$(BIN)/causim run scenarios/prefect-etl.toml scenarios/late-leader.toml scenarios/lost-leader.toml

test: $(STAMP)  ## everything that CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2

check: $(STAMP)  ## the quick part of `make test`
	$(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

notebooks: $(STAMP)  ## open the notebooks in Jupyter
	$(BIN)/pip install --quiet --editable '.[notebooks]'
	$(BIN)/jupyter lab notebooks

# An installation is made anew when the project's requirements change.
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "causim needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,prefect]'
	touch $(STAMP)

clean:  ## remove what was installed and what was cached
	rm -rf $(VENV) .causim .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
