# Octavo's commands. Each sets up .venv first when needed; a second run finds it done.

PYTHON ?= python3
PORT ?= 5000
BIN := .venv/bin
READY := .venv/octavo.stamp

# DVC runs each stage's `python` from PATH; the command line is sent nowhere.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
# uv reads its own variables: hand it the index and the certificates that pip was given.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
# As git and curl do, trust what the machine trusts.
export UV_SYSTEM_CERTS ?= true
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help repro test lint lock canary ui clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: $(READY) ## build, measure and register every variant, then show the table
	@[ -e .git ] || [ "$$($(BIN)/dvc config core.no_scm)" = true ] || { \
	  echo 'make: this folder is no git repository, and DVC needs one.' \
	       'Run "git init" (or "$(BIN)/dvc config core.no_scm true"), then make repro again.' >&2; exit 1; }
	@$(BIN)/dvc repro
	@$(BIN)/octavo compare
	@winner=$$($(BIN)/python -c 'import json; print(json.load(open("reports/decision.json"))["winner"] or "VARIANT")'); \
	printf '\nNext:\n'; \
	printf '  %-48s %s\n' 'make ui' 'look at the runs in MLflow, http://127.0.0.1:$(PORT)' \
	  "$(BIN)/octavo promote $$winner" 'make it the champion'

test: $(READY) ## run the whole test suite, quick tests first (ARGS='-m "not slow"' for a part)
	@$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(READY) ## check style, types and import rules
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: $(READY) ## remake requirements.lock from pyproject.toml (ARGS=--upgrade renews the pins)
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 --extra dev $(ARGS) pyproject.toml -o requirements.lock

canary: $(READY) ## run the tests of the MLflow side against the newest MLflow that installs
	@.ci/canary

ui: $(READY) ## open MLflow on this machine's port 5000 (PORT=… for another)
	@$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port $(PORT) --workers 1

clean: ## remove .venv and the tools' caches; artifacts, reports and runs stay
	@rm -rf .venv octavo.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find pipeline stages mlflow_plugins tests -name __pycache__ -prune -exec rm -rf {} +

SUPPORTED := import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else 1)

# The stamp is written last, so that a set-up cut short starts again.
$(READY): requirements.lock pyproject.toml
	@[ -x $(BIN)/python ] || "$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || { \
	  found=$$("$(PYTHON)" --version 2>&1) || found='not there'; \
	  echo "make: Octavo needs Python 3.11 to 3.13, but $(PYTHON) is $$found." \
	       'Name another: make PYTHON=python3.12' >&2; exit 1; }
	@[ -x $(BIN)/python ] || { echo 'Setting up .venv from requirements.lock (about 3 GB, once)…' >&2; \
	  "$(PYTHON)" -m venv --clear .venv; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@quiet=$$([ -t 2 ] || echo --quiet); \
	  $(BIN)/uv pip sync $$quiet --python $(BIN)/python --require-hashes requirements.lock && \
	  $(BIN)/uv pip install $$quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
