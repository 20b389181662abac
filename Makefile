# Two commands do everything: `make book` and `make test`. Each sets up what it needs.
#   PRESET=smoke|cpu|paper   RUN=henon_tokens   PYTHON=python3.11   VENV=.venv
#   PROFILE=slurm|kubernetes|local|path/to/folder   DRY=1   NOTEBOOK=…   GRID="name=1,2 name=3,4"
PYTHON ?= python3
VENV ?= .venv
PRESET ?= cpu
WORKFLOW = $(VENV)/bin/python -m workflow
export PYTHONUNBUFFERED = 1
# These are data: make does not expand what is in them, and the shell reads them from its environment.
override PROFILE := $(value PROFILE)
override NOTEBOOK := $(value NOTEBOOK)
override GRID := $(value GRID)
export PROFILE NOTEBOOK GRID

.PHONY: book test test-slurm run cluster sweep status verify accept bench pairs readme lint lock setup setup-cluster clean
.DEFAULT_GOAL := book

book: setup
	@$(WORKFLOW) book --preset $(PRESET) $(if $(ALLOW_STALE),--allow-stale)

test: setup
	@$(VENV)/bin/python -m pytest

test-slurm: setup setup-cluster
	@$(VENV)/bin/python -m pytest -m slurm

run: setup
	@$(WORKFLOW) run $(RUN) --preset $(PRESET) $(if $(FORCE),--force)

cluster: setup setup-cluster
	@$(WORKFLOW) cluster $(RUN) --preset $(PRESET) --profile "$${PROFILE:-slurm}" $(if $(DRY),--dry-run)

sweep: setup $(if $(PROFILE),setup-cluster)
	@$(WORKFLOW) sweep "$$NOTEBOOK" "$$GRID" --preset $(PRESET) $(if $(PROFILE),--profile "$$PROFILE") $(if $(DRY),--dry-run)

status: setup
	@$(WORKFLOW) status $(if $(filter command line environment,$(origin PRESET)),--preset $(PRESET))

verify accept: setup
	@$(WORKFLOW) $@ $(RUN) --preset $(PRESET)

bench: setup
	@$(VENV)/bin/python -m benchmarks

pairs readme: setup
	@$(WORKFLOW) $@

lint: setup
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

lock:
	@$(PYTHON) workflow/bootstrap.py --lock $(VENV)

setup:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer, or say \`make $(MAKECMDGOALS) PYTHON=/path/to/python\`." >&2; exit 2; }
	@$(PYTHON) workflow/bootstrap.py $(VENV)

setup-cluster: setup
	@$(PYTHON) workflow/bootstrap.py --cluster $(VENV)-cluster

clean:
	rm -rf build
