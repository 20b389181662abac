# Two commands do everything: `make book` and `make test`. Each sets up what it needs.
#   PRESET=smoke|cpu|paper   RUN=henon_tokens   FILE=bundle.tar.gz   PYTHON=python3.11   VENV=.venv
PYTHON ?= python3
VENV ?= .venv
PRESET ?= cpu
WORKFLOW = $(VENV)/bin/python -m workflow
# What is given for these is data: make does not expand it, and the shell, which reads it from its
# environment, splits it into words and no more. (PYTHON and VENV name programs that are run.)
ASKED := $(filter command line environment,$(origin PRESET))
override RUN := $(value RUN)
override PRESET := $(value PRESET)
override FILE := $(value FILE)
export RUN PRESET FILE
export PYTHONUNBUFFERED = 1

.PHONY: book test run status verify accept bundle unbundle kills bench pairs readme lint format lock setup clean
.DEFAULT_GOAL := book

book: setup
	@$(WORKFLOW) book --preset "$$PRESET" $(if $(ALLOW_STALE),--allow-stale)

test: setup
	@$(VENV)/bin/python -m pytest

run: setup
	@set -f; $(WORKFLOW) run $$RUN --preset "$$PRESET" $(if $(FORCE),--force)

status: setup
	@$(WORKFLOW) status $(if $(ASKED),--preset "$$PRESET")

verify accept bundle: setup
	@set -f; $(WORKFLOW) $@ $$RUN --preset "$$PRESET"

unbundle: setup
	@$(WORKFLOW) unbundle -- "$$FILE"

kills: setup
	@folder=$$(mktemp -d) && $(VENV)/bin/python tests/workflow/kills.py "$$folder"; code=$$?; [ $$code != 0 ] || rm -r "$$folder"; exit $$code

bench: setup
	@$(VENV)/bin/python -m benchmarks

pairs readme: setup
	@$(WORKFLOW) $@

lint: setup
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

format: setup
	@$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

lock:
	@$(PYTHON) workflow/bootstrap.py --lock $(VENV)

setup:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer, or add PYTHON=/path/to/python to the make command." >&2; exit 2; }
	@$(PYTHON) workflow/bootstrap.py $(VENV)

clean:
	rm -rf build
