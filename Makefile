# Two commands do everything: `make book` and `make test`. Each sets up what it needs.
#   PRESET=smoke|cpu|paper   RUN=henon_tokens   FILE=bundle.tar.gz   PYTHON=python3.11   VENV=.venv
#   PROFILE=slurm|kubernetes|local|path/to/folder   DRY=1   NOTEBOOK=…   GRID="name=1,2 name=3,4"
#   make pairs NOTEBOOK=your_system FROM=ipynb|py   STRIP=1
#   make carry RENAME="old_name=new_name *_old=*_new"
#   TORCH=cpu|index (remembered)   PYTHONS="python3.11 /path/to/python3.13"
PYTHON ?= python3
VENV ?= .venv
# An environment keeps its Python until PYTHON names another.
OLDEST = import sys; sys.exit(sys.version_info < (3, 11, 2))
ifeq ($(origin PYTHON),file)
ifeq ($(shell $(VENV)/bin/python -c '$(OLDEST)' 2>/dev/null && echo suitable),suitable)
PYTHON := $(VENV)/bin/python
endif
endif
PRESET ?= cpu
WORKFLOW = $(VENV)/bin/python -m workflow
# What is given for these is data: make does not expand it, and the shell, which reads it from its
# environment, splits it into words and no more. (PYTHON and VENV name programs that are run.)
ASKED := $(filter command line environment,$(origin PRESET))
override RUN := $(value RUN)
override PRESET := $(value PRESET)
override FILE := $(value FILE)
override PROFILE := $(value PROFILE)
override NOTEBOOK := $(value NOTEBOOK)
override GRID := $(value GRID)
override FROM := $(value FROM)
override RENAME := $(value RENAME)
override TORCH := $(value TORCH)
override PYTHONS := $(value PYTHONS)
export RUN PRESET FILE PROFILE NOTEBOOK GRID FROM RENAME TORCH PYTHONS
export PYTHONUNBUFFERED = 1
# `workflow` is found in this folder, under PYTHONSAFEPATH too.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.PHONY: book pdf links test test-slurm test-pythons coverage run cluster sweep status verify accept carry bundle unbundle kills bench pairs readme lint format lock setup setup-cluster clean
.DEFAULT_GOAL := book

book: setup
	@$(WORKFLOW) book --preset "$$PRESET" $(if $(ALLOW_STALE),--allow-stale)

pdf: book
	@$(WORKFLOW) pdf --preset "$$PRESET"

links: setup
	@$(WORKFLOW) links --preset "$$PRESET"

test: setup
	@$(VENV)/bin/python -m pytest -n 2 --dist loadscope

test-slurm: setup setup-cluster
	@$(VENV)/bin/python -m pytest -m slurm

test-pythons:
	@set -f; $(PYTHON) tests/pythons.py $$PYTHONS

coverage: setup
	@rm -rf build/coverage; $(VENV)/bin/coverage run -m pytest -n 2 --dist loadscope; code=$$?; $(VENV)/bin/coverage combine -q && $(VENV)/bin/coverage report && exit $$code

run: setup
	@set -f; $(WORKFLOW) run $$RUN --preset "$$PRESET" $(if $(FORCE),--force)

cluster: setup setup-cluster
	@set -f; $(WORKFLOW) cluster $$RUN --preset "$$PRESET" --profile "$${PROFILE:-slurm}" $(if $(DRY),--dry-run)

sweep: setup $(if $(PROFILE),setup-cluster)
	@$(WORKFLOW) sweep "$$NOTEBOOK" "$$GRID" --preset "$$PRESET" $(if $(PROFILE),--profile "$$PROFILE") $(if $(DRY),--dry-run)

status: setup
	@$(WORKFLOW) status $(if $(ASKED),--preset "$$PRESET")

verify accept bundle: setup
	@set -f; $(WORKFLOW) $@ $$RUN --preset "$$PRESET"

carry: setup
	@set -f; $(WORKFLOW) carry $$RUN $(if $(ASKED),--preset "$$PRESET") $${RENAME:+--rename $$RENAME}

unbundle: setup
	@$(WORKFLOW) unbundle -- "$$FILE"

kills: setup
	@folder=$$(mktemp -d) && $(VENV)/bin/python tests/workflow/kills.py "$$folder"; code=$$?; [ $$code != 0 ] || rm -r "$$folder"; exit $$code

bench: setup
	@$(VENV)/bin/python -m benchmarks

pairs: setup
	@set -f; $(WORKFLOW) pairs $$NOTEBOOK $(if $(FROM),--from "$$FROM") $(if $(STRIP),--strip)

readme: setup
	@$(WORKFLOW) readme

lint: setup
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

format: setup
	@$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

lock:
	@$(PYTHON) workflow/bootstrap.py --lock $(VENV)

setup:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11.2 or newer, or add PYTHON=/path/to/python to the make command." >&2; exit 2; }
	@$(PYTHON) workflow/bootstrap.py $${TORCH:+--torch "$$TORCH"} $(VENV)

setup-cluster: setup
	@$(PYTHON) workflow/bootstrap.py --cluster $(VENV)-cluster

clean:
	rm -rf build
