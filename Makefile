# Two commands do everything: `make book` and `make test`. Each sets up what it needs.
#   PRESET=smoke|cpu|paper   RUN="henon_tokens hankel_operator"   ARGS="-p n_cells 35 -p seed 1"
#   PROFILE=slurm|local|path/to/folder   DRY=1   FORCE=1   ALLOW_STALE=1   FILE=bundle.zip
#   GPUS=1   RUNS_PER_GPU=2   (of run and sweep)   FOR=3.12   (of wheels: the Python there)
#   make sweep RUN=henon_tokens ARGS="-p n_cells 20,35 -p seed 0,1"
#   make pairs NOTEBOOK=your_system FROM=ipynb|py   STRIP=1
#   PYTHON=python3.11   VENV=.venv   TORCH=cpu|index (remembered)   PYTHONS="python3.11 python3.13"
#   make bench ONLY="transport hankel" ARGS=--long
#   make setup EXTRA=dysts|jupyter   (flows by name, for your_system; JupyterLab)
#   make verify KEEP="name of this machine"   (beside the references: other kernels, or other seeds)
#   make carry RENAME="old_name=new_name *_old=*_new"
PYTHON ?= python3
VENV ?= .venv
# An environment keeps its Python until PYTHON names another.
ifeq ($(origin PYTHON),file)
ifeq ($(shell $(VENV)/bin/python workflow/bootstrap.py --check 2>/dev/null && echo suitable),suitable)
PYTHON := $(VENV)/bin/python
endif
endif
WORKFLOW = @$(VENV)/bin/python -m workflow
GIVEN = $(if $(PRESET),--preset $(PRESET)) $(ARGS)
LIMITS = $(if $(GPUS),--gpus $(GPUS)) $(if $(RUNS_PER_GPU),--runs-per-gpu $(RUNS_PER_GPU))
export PYTHONUNBUFFERED = 1
# `workflow` is found in this folder, under PYTHONSAFEPATH too.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.PHONY: book pdf links test test-slurm test-pythons coverage run cluster sweep status verify accept carry bundle unbundle wheels kills bench gpu-check pairs readme lint format lock setup setup-cluster clean
.DEFAULT_GOAL := book

book: setup
	$(WORKFLOW) book $(GIVEN) $(if $(ALLOW_STALE),--allow-stale)

pdf: book
	$(WORKFLOW) pdf $(GIVEN)

links: setup
	$(WORKFLOW) links $(GIVEN)

test: setup
	@$(VENV)/bin/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test-slurm: setup setup-cluster
	@$(VENV)/bin/python -m pytest -m slurm

test-pythons:
	@$(PYTHON) tests/pythons.py $(PYTHONS)

coverage: setup
	@rm -rf build/coverage; $(VENV)/bin/coverage run -m pytest -n 2 --dist loadscope --no-loadscope-reorder; code=$$?; $(VENV)/bin/coverage combine -q && $(VENV)/bin/coverage report && exit $$code

run: setup
	$(WORKFLOW) run $(RUN) $(GIVEN) $(LIMITS) $(if $(FORCE),--force)

cluster: setup setup-cluster
	$(WORKFLOW) cluster $(RUN) $(GIVEN) $(if $(PROFILE),--profile $(PROFILE)) $(if $(DRY),--dry-run)

sweep: setup $(if $(PROFILE),setup-cluster)
	$(WORKFLOW) sweep $(RUN) $(GIVEN) $(LIMITS) $(if $(PROFILE),--profile $(PROFILE)) $(if $(DRY),--dry-run)

status accept bundle: setup
	$(WORKFLOW) $@ $(RUN) $(GIVEN)

verify: setup
	$(WORKFLOW) verify $(RUN) $(GIVEN) $(if $(KEEP),--keep "$(KEEP)")

carry: setup
	$(WORKFLOW) carry $(RUN) $(GIVEN) $(if $(RENAME),--rename $(RENAME))

unbundle: setup
	$(WORKFLOW) unbundle $(FILE)

wheels: setup
	$(WORKFLOW) wheels $(if $(FOR),--python $(FOR))

kills: setup
	@folder=$$(mktemp -d) && $(VENV)/bin/python tests/workflow/kills.py "$$folder"; code=$$?; [ $$code != 0 ] || rm -r "$$folder"; exit $$code

bench: setup
	@$(VENV)/bin/python -m benchmarks $(ONLY) $(ARGS)

gpu-check: setup
	@$(VENV)/bin/python -m benchmarks.gpu_check $(ARGS)

pairs: setup
	$(WORKFLOW) pairs $(NOTEBOOK) $(if $(FROM),--from $(FROM)) $(if $(STRIP),--strip)

readme: setup
	$(WORKFLOW) readme

lint: setup
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

format: setup
	@$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

lock:
	@$(PYTHON) workflow/bootstrap.py --lock $(VENV)

setup:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11.2 or newer, or add PYTHON=/path/to/python to the make command." >&2; exit 2; }
	@$(PYTHON) workflow/bootstrap.py $(if $(TORCH),--torch $(TORCH)) $(VENV)
	$(if $(EXTRA),@$(PYTHON) workflow/bootstrap.py --extra $(EXTRA) $(VENV))

setup-cluster: setup
	@$(PYTHON) workflow/bootstrap.py --cluster $(VENV)-cluster

clean:
	rm -rf build
