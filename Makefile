PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OLDEST := .venv-oldest

.DEFAULT_GOAL := help
.PHONY: help setup demo format lint test test-slow test-oldest check bench fuzz mutate build clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## make .venv and install the package with its tools (2 minutes, 7 GB, once)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q -U "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[log,video,export]" --group dev && touch $@

demo: setup ## draw a data set, train, evaluate, sweep, predict, report: see runs/demo
	$(BIN)/iouaware demo

format: setup ## lay out the code and repair what ruff can
	$(BIN)/ruff format && $(BIN)/ruff check --fix

lint: setup ## formatting, lint, types, version and changelog; changes no file
	$(BIN)/ruff format --check && $(BIN)/ruff check && $(BIN)/mypy
	$(BIN)/python scripts/check_version.py

# one thread a process: two test processes with two spinning threads each take many times longer
test test-slow test-oldest: export OMP_NUM_THREADS = 1

test: setup ## the tests
	$(BIN)/pytest -q -n 2

# the export runtimes apart: a process that held them has twice ended without a word in another test
test-slow: setup ## the tests that take minutes
	$(BIN)/pytest -q -n 2 -m slow --ignore tests/exporting
	$(BIN)/pytest -q -n 2 -m slow tests/exporting

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST) && $(OLDEST)/bin/python -m pip install -q -U "pip>=25.1"
	$(OLDEST)/bin/python -m pip install -q -c constraints-oldest.txt -e ".[log,video]" --group dev && touch $@

# without the exports: their extra asks for a newer torch than the package does
test-oldest: $(OLDEST)/.installed ## the tests with the oldest versions allowed (its own venv, 6 GB, once)
	$(OLDEST)/bin/pytest -q -n 2 --ignore tests/exporting

check: lint test ## all that must hold before a commit; changes no file

# without sizes.py, whose rows of a peer need an environment of that one's own: see its head
bench: setup ## measure against the peers, write benchmarks/results, render the tables
	for name in training profile_step inference postprocess memory evaluator sweep check; do \
	  $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/render.py

fuzz: setup ## look for files that bring a reader down (half an hour; installs atheris)
	$(BIN)/python -m pip install -q "atheris>=3.0"
	for target in coco voc yolo-labels yolo-yaml config yaml pictures weights header info exported \
	  results candidates; do $(BIN)/python scripts/fuzz.py $$target || exit 1; done

# mutmut is asked for one mutant, so that it writes all of them and which tests reach what
mutate: export OMP_NUM_THREADS = 1
mutate: setup ## change the core in some thousand places and see the tests fail (an hour; installs mutmut)
	$(BIN)/python -m pip install -q "mutmut>=3.8,<4"
	PATH=$(BIN):$$PATH PYTHONPATH=src $(BIN)/mutmut run --max-children 1 'iouaware.inference.scoring.x_check_alpha__mutmut_1'
	$(BIN)/python scripts/mutate.py

build: setup ## wheel and source archive in dist
	$(BIN)/python -m build --no-isolation

clean: ## remove what the targets above made, runs excepted
	rm -rf $(VENV) $(OLDEST) mutants dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
