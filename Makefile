# Two commands do everything: `make book` and `make test`. Each sets up what it needs.
#   PRESET=smoke|cpu|paper   RUN=henon_tokens   PYTHON=python3.11   VENV=.venv
PYTHON ?= python3
VENV ?= .venv
PRESET ?= cpu
WORKFLOW = $(VENV)/bin/python -m workflow
export PYTHONUNBUFFERED = 1

.PHONY: book pdf links test run status verify accept bench pairs readme lint lock setup clean
.DEFAULT_GOAL := book

book: setup
	@$(WORKFLOW) book --preset $(PRESET) $(if $(ALLOW_STALE),--allow-stale)

pdf: book
	@$(WORKFLOW) pdf --preset $(PRESET)

links: setup
	@$(WORKFLOW) links --preset $(PRESET)

test: setup
	@$(VENV)/bin/python -m pytest

run: setup
	@$(WORKFLOW) run $(RUN) --preset $(PRESET) $(if $(FORCE),--force)

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

clean:
	rm -rf build
