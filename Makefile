# `make demo` and `make test` are the two commands; `make help` lists the rest.
# Every target does its own set-up and can be repeated.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Debian's Python is built with profiles of its use: everything takes a seventh less CPU than with a plain build.
BASE_PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11) python3)
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed
TESTS ?=
BASE ?=
BENCH ?=
# Tests mostly wait, so there are more workers than the two CPUs they are made for.
WORKERS ?= 5
export PYTHONUNBUFFERED := 1
# Where it is set, each of the hundreds of processes that a run starts compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE
# The CPU is what is short, not the memory: the control planes and kubectl collect garbage less often.
export GOGC ?= 400

.PHONY: help setup demo demo-down up down images test test-long lint format generate constraints
.PHONY: bench-quick bench-compare bench-operator walks picture clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(STAMP) ## the project's virtual environment, with the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@echo "==> python environment in $(VENV)"
	@$(BASE_PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	@test -x $(PYTHON) || $(BASE_PYTHON) -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[operator,server,dev]'
	@touch $@

demo: $(STAMP) ## a kind cluster, the operator by Helm, an example, an inference, the proof of exclusive CPUs
	@$(PYTHON) -m devcluster.demo run

demo-down: $(STAMP) ## remove everything the demo created
	@$(PYTHON) -m devcluster.demo down

up: $(STAMP) ## the demo's cluster with the operator installed, left running
	@$(PYTHON) -m devcluster.demo up

down: demo-down ## remove the cluster of `make up`

images: $(STAMP) ## build both images with docker, podman or buildah, and print their names and sizes
	@$(PYTHON) -m devcluster.demo.images

lint: $(STAMP) ## ruff, mypy --strict, import-linter, generated files fresh
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

# `release` is silent, so that pytest's closing line is the last one.
test: $(STAMP) ## everything: lint, then all tests (TESTS="tests/server -k x" narrows)
	@$(PYTHON) -m devcluster prepare & preparing=$$!; $(MAKE) --no-print-directory lint; wait $$preparing
	@status=0; $(PYTHON) -m pytest -n $(WORKERS) $(TESTS) || status=$$?; $(PYTHON) -m devcluster release >/dev/null 2>&1; exit $$status

test-long: $(STAMP) ## what is too long for every run: the tests marked `long`, then the soak test
	@mkdir -p build
	@$(PYTHON) -m devcluster prepare --for-long-tests
	@status=0; $(PYTHON) -m pytest -n $(WORKERS) -m long --junitxml=build/test-long.xml $(TESTS) || status=$$?; \
		$(PYTHON) -m bench.long_tests build/test-long.xml; exit $$status
	@$(PYTHON) -m bench.soak

format: $(STAMP) ## let ruff format and fix
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

generate: $(STAMP) ## the CRD from the operator's api/, the protocol's descriptors from the proto
	@$(PYTHON) -m modelserver_operator crd > crds/modelservers.modelserver.dev.yaml
	@PYTHON=$(CURDIR)/$(PYTHON) server/modelserver/proto/generate.sh

constraints: ## renew constraints.txt with the newest versions that resolve together
	@$(BASE_PYTHON) -m venv build/constraints && build/constraints/bin/pip install --quiet '.[operator,server,dev]'
	@(sed -n '/^#/p' constraints.txt; build/constraints/bin/pip freeze --exclude openvino-modelserver) > build/constraints.txt
	@mv build/constraints.txt constraints.txt

bench-quick: $(STAMP) ## speed next to KServe and benchmark_app: raw figures and the tables of docs/performance.md
	@$(PYTHON) -m bench.quick

bench-compare: $(STAMP) ## CPU per request next to BASE=COMMIT, with a verdict (BENCH="--quick" for a hint)
	@$(PYTHON) -m bench.compare $(or $(BASE),$(error which commit? make bench-compare BASE=COMMIT)) $(BENCH)

bench-operator: $(STAMP) ## the operator with 1 and 1000 objects: times, CPU, memory, writes (BENCH="--long": 5000, too)
	@$(PYTHON) -m bench.operator_bench $(BENCH)

walks: $(STAMP) ## calls, files and returns of each way through server and operator
	@$(PYTHON) -m bench.walks

picture: ## docs/architecture.svg from its source, by Graphviz
	@command -v dot >/dev/null || apt-get install -y -qq graphviz
	@dot -Tsvg docs/architecture.dot > docs/architecture.svg

clean: ## remove the virtual environment and build leftovers (the cache stays)
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
