# Two commands: `make demo` and `make test`. Everything is written below this folder.
#   make demo TORCH="torch torchvision --index-url https://download.pytorch.org/whl/cpu"   a CPU-only PyTorch, much smaller
#   make demo PYTHON=/path/to/python3.12                                                   another interpreter
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
TORCH ?=
SEED ?=
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet

# Caches stay in the project folder, and nothing asks a model hub.
export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib
export XDG_CACHE_HOME := $(CURDIR)/.cache
export CONTRASTCXR_CACHE := $(CURDIR)/.cache/contrastcxr
export HF_HUB_OFFLINE := 1
export PYTHONUNBUFFERED := 1

.PHONY: help demo test slow fuzz lint types package ci-checks clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(VENV)/.core  ## draw three phantom studies as DICOM, read them, say where the readings are
	@rm -rf demo
	@$(PY) -m contrastcxr phantom demo/studies --studies 3 --level standard --format dicom --seed 7
	@$(PY) -m contrastcxr read demo/studies --model phantom --out demo/readings --format html,json

test: $(VENV)/.test  ## the whole test suite
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile -q $(TESTS)

slow: $(VENV)/.test  ## the tests that take minutes
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -m slow

fuzz: $(VENV)/.test  ## a thousand damaged inputs, others each day; SEED=20261128 tries those of a day again
	@$(PY) tests/fuzz/today.py $(SEED)

lint: $(VENV)/.dev  ## style
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(VENV)/.dev  ## strict types
	@$(PY) -m mypy

package: $(VENV)/.dev  ## source archive and wheel, in dist/
	@rm -rf dist
	@$(PY) -m build --no-isolation --outdir dist . > /dev/null
	@ls -l dist

clean:  ## remove what these targets made
	rm -rf $(VENV) .cache demo dist build

$(VENV)/.venv:
	@command -v $(firstword $(PYTHON)) > /dev/null || { echo "contrastcxr needs Python 3.11 or newer, and '$(PYTHON)' was not found; name one: make demo PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "contrastcxr needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make demo PYTHON=python3.12" >&2; exit 1; }
	@echo "making $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "could not make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# PyTorch first, so that a line such as TORCH="torch torchvision --index-url ..." decides which build is taken.
$(VENV)/.torch: $(VENV)/.venv
	@if [ -n '$(TORCH)' ]; then echo "installing $(TORCH) ..."; $(PIP) install $(TORCH); fi
	@touch $@

$(VENV)/.core: $(VENV)/.torch pyproject.toml
	@echo "installing contrastcxr (once; PyTorch is most of it) ..."
	@$(PIP) install -e '.[dicom]'
	@touch $@

$(VENV)/.test: $(VENV)/.core pyproject.toml
	@echo "installing the test tools (once) ..."
	@$(PIP) install -e '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test pyproject.toml
	@echo "installing the developer tools (once) ..."
	@$(PIP) install -e '.[dev]'
	@touch $@
