# GNU make; `make help` lists the targets.
PYTHON ?= python3
PIP_ARGS ?=
JOBS ?= 2
ARGS ?=

VENV := .venv
RUN := $(VENV)/bin/python -m
STAMP := $(VENV)/.installed
GRADER := $(VENV)/.nbgrader
ENGINE := $(VENV)/.snakemake
CODE := $(wildcard dmsc tests benchmarks notebooks course workflow)
# MiB that jobs share, see workflow/README.md
MEM_MB ?= $(shell $(VENV)/bin/python -c 'import psutil; print(psutil.virtual_memory().available >> 20)')

.DEFAULT_GOAL := help
.PHONY: help env reproduce papers course test test-browser test-cluster lint notebooks table bench bench-gpu lab site clean distclean
unexport MPLBACKEND

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PYTHON=python3.12  which Python makes .venv       JOBS=2  how many tests or notebooks run at a time"
	@echo "  PIP_ARGS=...       more options for pip, e.g. '--extra-index-url URL' with the URL of PyTorch's CPU wheels"
	@echo "  ARGS=...           more options for dmsc reproduce, table, Snakemake and JupyterLab, e.g. ARGS='--only 04'"

env: $(STAMP) ## make .venv and install everything there (once)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make env: there is no $(PYTHON): name a Python >= 3.10 with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "make env: dmsc needs Python >= 3.10, $(PYTHON) is `$(PYTHON) -V 2>&1`: name another with PYTHON=..."; exit 1; }
	@$(RUN) pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "make env: $(PYTHON) could not make $(VENV); on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(RUN) pip install --disable-pip-version-check $(PIP_ARGS) torch==2.13.0 -c constraints.txt
	$(RUN) pip install --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	@touch $@

reproduce: env ## run every notebook into results/notebooks, with figures and a table
	$(RUN) dmsc reproduce --jobs $(JOBS) $(ARGS)

papers: $(ENGINE) ## run the papers' study as jobs of Snakemake, JOBS at a time; ARGS='--config study=NAME' for another
	$(VENV)/bin/snakemake --profile workflow/profiles/local --cores $(JOBS) --resources mem_mb=$(MEM_MB) gpu=1 $(ARGS)

$(ENGINE): $(STAMP)
	$(RUN) pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[workflow]"
	@touch $@

$(GRADER): $(STAMP)
	$(RUN) pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[course]"
	@touch $@

course: export OMP_NUM_THREADS ?= 1
course: $(GRADER) ## install nbgrader, prove that every assignment is graded as it should be, write them to build/course
	$(RUN) dmsc course check --jobs $(JOBS)
	$(RUN) dmsc course release --overwrite --to build/course

test: export OMP_NUM_THREADS ?= 1  # small problems: a second thread mostly waits
test: lint $(GRADER) $(ENGINE) ## lint, unit tests, then every notebook against its stored outputs
	$(RUN) pytest -q -n $(JOBS) --dist worksteal -m "not card"
	$(RUN) pytest -q -n $(JOBS) --dist worksteal -m card
	$(RUN) pytest -q -n $(JOBS) --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=300 notebooks

test-browser: export OMP_NUM_THREADS ?= 1
test-browser: env ## pages and site in Chromium: they run, formulas are drawn, nothing is too wide (skipped without Chromium)
	@if ! command -v chromium >/dev/null; then \
	  echo "make test-browser: SKIPPED, as there is no chromium; on Debian: apt install chromium"; exit 0; \
	elif ! $(RUN) pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt playwright; then \
	  echo "make test-browser: SKIPPED, as playwright could not be installed"; exit 0; \
	fi; $(RUN) pytest -q -n 0 tests/browser

test-cluster: export OMP_NUM_THREADS ?= 1
test-cluster: $(ENGINE) ## studies on a SLURM of one node, which is started here (skipped without SLURM's programs)
	@if ! PATH="$$PATH:/usr/sbin" command -v slurmctld >/dev/null; then \
	  echo "make test-cluster: SKIPPED, as there is no slurmctld; on Debian: apt install slurm-wlm munge"; exit 0; \
	fi; $(RUN) pytest -q -n 0 tests/cluster

lint: env ## rules, format and types
	$(RUN) ruff check $(CODE)
	$(RUN) ruff format --check $(CODE)
	$(RUN) mypy

notebooks: env ## run the notebooks with their defaults and store the outputs in notebooks/
	$(RUN) dmsc reproduce --store --jobs $(JOBS) $(ARGS)

table: env ## renew the tables, and the numbers in the prose, of README.md and results/README.md from the records
	$(RUN) dmsc table papers --layout brief --into README.md $(ARGS)
	$(RUN) dmsc table papers --into results/README.md --name papers $(ARGS)
	$(RUN) dmsc table family --layout family --into results/README.md --name family $(ARGS)
	$(RUN) dmsc table own_data --layout family --into results/README.md --name own_data $(ARGS)
	$(RUN) dmsc table halves --layout family --into results/README.md --name halves $(ARGS)
	$(RUN) dmsc table papers/eyaleb.jsonl papers/eyaleb_components.jsonl pretraining --layout traces --into results/README.md --name pretraining $(ARGS)
	$(RUN) dmsc table what_does_the_work --layout starts --into results/README.md --name starts $(ARGS)
	$(RUN) dmsc numbers README.md results/README.md notebooks/*.ipynb

bench: env ## measure epochs, the spectral step and growth on the CPU (under ten minutes)
	cd benchmarks && for script in epochs spectral scaling; do ../$(VENV)/bin/python $$script.py $(ARGS) || exit 1; done

bench-gpu: env ## the same on CUDA
	@$(VENV)/bin/python -c "import torch; raise SystemExit(not torch.cuda.is_available())" || { echo \
	  "make bench-gpu: PyTorch sees no CUDA device, so nothing was measured; 'make bench' is for the CPU" >&2; exit 1; }
	cd benchmarks && for script in epochs spectral scaling; do \
	  ../$(VENV)/bin/python $$script.py --device cuda --output ../results/benchmarks/$${script}_cuda.json $(ARGS) || exit 1; done

lab: env ## open JupyterLab at the first page, on copies in lab/ that are yours: what you change there is kept
	$(RUN) dmsc copy-pages
	$(RUN) jupyter lab lab/00_start_here.ipynb $(ARGS)

site: env ## the course as a site, with stored outputs: build/site/index.html (DMSC_SOURCE_URL: see course/site/conf.py)
	$(RUN) sphinx -b html -q -n -W --keep-going -c course/site -d build/site-doctrees . build/site
	@echo "build/site/index.html"

clean: ## remove caches and results/notebooks; runs, records and data stay
	rm -rf results/notebooks build dist .pytest_cache .ruff_cache .mypy_cache
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	rm -rf $(VENV) dmsc.egg-info
