# `make lab` opens the course, `make test` checks it; each sets everything up first. `make help` lists the rest.
JOBS ?= 2
LLMRL_THREADS ?= 1
OMP_NUM_THREADS ?= $(LLMRL_THREADS)
MKL_NUM_THREADS ?= $(LLMRL_THREADS)
export PYTHON LLMRL_THREADS OMP_NUM_THREADS MKL_NUM_THREADS

PY := .venv/bin/python
ROOT := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)
QUIET := --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
    --LabApp.extension_manager=readonly
NBVAL := --nbval --nbval-current-env -p llmrl.course.timing

.DEFAULT_GOAL := help
.PHONY: setup lab test run check data checkpoints studies bench effects clean help

setup: ## make .venv with the pinned packages (once; then it takes no time)
	@sh .ci/setup

lab: setup ## open the course in JupyterLab
	$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(QUIET) $(ROOT) $(LABFLAGS)

test: export LLMRL_HOME := $(CURDIR)/build/home
test: setup ## lint, unit tests and every notebook, with a table of seconds at the end
	@rm -rf build/home
	$(PY) -m ruff check .
	$(PY) -m pytest tests notebooks $(NBVAL) -n $(JOBS) --dist loadfile

run: setup ## run every notebook, refresh its stored outputs, write build/report.md
	$(PY) -m llmrl run --jobs $(JOBS)

check: setup ## lint and the quick unit tests, in under two minutes
	$(PY) -m ruff check .
	$(PY) -m pytest tests -m "not slow" -n $(JOBS) -q

data: setup ## rebuild the shipped data files, byte for byte
	$(PY) -m llmrl.toy.make

checkpoints: setup ## train the shipped models anew (under 40 minutes on two cores)
	$(PY) -m llmrl.toy.recipes

studies: setup ## make the shipped results that take a lesson too long (two to three hours of one core)
	$(PY) -m llmrl.studies

bench: setup ## measure the library against its peers, as ratios in one run
	$(PY) -m bench

effects: setup ## measure that the toy world shows what theory says, over three seeds
	$(PY) -m llmrl.toy.effects

clean: ## remove reports and caches (with ALL=1 also .venv)
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis lib/llmrl.egg-info $(if $(ALL),.venv)
	find . -name .venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
