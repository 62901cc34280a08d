# Everything that is made here; `make help` lists it. Wanted: Python 3.11 or newer with venv, and make.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=

bin := $(VENV)/bin
python := $(bin)/python
say_version := import platform; print(platform.python_version())
version := $(shell $(PYTHON) -c '$(say_version)')
# Made once, and again when what is installed should change or when another PYTHON is asked for.
ready := $(VENV)/ready-for-$(version)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help env bytecode run test check format bench fuzz clean

help:  ## list what can be made
	@echo "make WHAT [PYTHON=python3] [VENV=.venv] [PYTEST_ARGS=...], where WHAT is:"
	@sed -n 's/^\([a-z]*\):.*##/  \1 \t/p' Makefile

env: $(ready)  ## the environment: numen, editable, and the tools of pyproject.toml

# The newest pip first: the `numen` command that an older one writes imports `re`, and takes longer to start.
$(ready): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "numen needs Python 3.11 or newer")'
	@echo "making $(VENV) with Python $(version)"
	@rm -f $(VENV)/ready-for-*
	@test "$$($(python) -c '$(say_version)' 2>/dev/null)" = $(version) || $(PYTHON) -m venv --clear $(VENV)
	@$(python) -m pip install -qq --upgrade pip
	@$(python) -m pip install -qq --group dev --editable .
	@touch $@

# A person waits for every command, and without byte code three times as long. Where PYTHONDONTWRITEBYTECODE
# is set, importing writes none; compileall does.
bytecode: $(ready)
	@$(python) -m compileall -q src

run: bytecode  ## the main job: detach a small clock and show what /proc says of it
	@$(python) examples/clock/run.py

test: check bytecode  ## check, then run the tests; PYTEST_ARGS="-k pidfile" chooses some
	@$(python) -m pytest $(PYTEST_ARGS)

check: $(ready)  ## formatting, linting, strict typing, import contracts, dead code, a specimen for each rule
	@echo "ruff format --check" && $(bin)/ruff format --check --quiet
	@echo "ruff check" && $(bin)/ruff check --quiet
	@echo "mypy" && $(bin)/mypy --no-error-summary
	@echo "lint-imports" && $(bin)/lint-imports --no-logo
	@echo "vulture" && $(bin)/vulture
	@echo "check_zoo" && $(python) tools/check_zoo.py

format: $(ready)  ## format and mend what can be mended without thought
	@$(bin)/ruff format --quiet
	@$(bin)/ruff check --quiet --fix

bench: bytecode  ## measure numen beside its rivals
	@$(python) -m bench

fuzz: $(ready)  ## give every parser a million examples
	@HYPOTHESIS_PROFILE=fuzz $(python) -m pytest -m fuzz $(PYTEST_ARGS)

clean:  ## remove all that is made here
	@rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
