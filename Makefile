# Everything that a developer or CI runs. Each target says what it does, may be run twice, and asks nothing.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PY := .venv/bin/python
CLUSTER_DIR ?= .cluster

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

.PHONY: venv
venv: .venv/.ready ## Make the virtual environment from the lock file

.venv/.ready: requirements-dev.lock pyproject.toml
	@e2e/venv.sh requirements-dev.lock

.PHONY: lock
lock: ## Regenerate the lock files from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements.lock
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements-dev.lock

.PHONY: lint
lint: venv ## Style, types and layer contracts
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

.PHONY: format
format: venv ## Format the code and mend what can be mended mechanically
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix-only .

.PHONY: test
test: lint ## Every test that needs no cluster, those on a real API server, Envoy and Prometheus included
	@$(PY) -m e2e.cluster build kubernetes prometheus fortio helm
	.venv/bin/pytest -q -n 3 tests

.PHONY: test-bad-input
test-bad-input: venv ## 5,000 spoilt VirtualServices, DestinationRules and Gateways, and what others keep
	EXAMPLES=5000 .venv/bin/pytest -q --timeout 1200 tests/property/mesh/test_mutated.py

.PHONY: e2e
e2e: venv ## The scenarios on the real cluster, the demo's first
	.venv/bin/pytest -q --timeout 600 -m "not alone" -n 3 --dist loadfile e2e
	.venv/bin/pytest -q --timeout 600 -m alone e2e

.PHONY: demo
demo: venv ## Everything from nothing: a canary promoted, then a bad one rolled back
	@$(PY) -m e2e.demo

.PHONY: cluster
cluster: venv ## A real single-node Kubernetes; its kubeconfig is .cluster/kubeconfig
	@$(PY) -m e2e.cluster up

.PHONY: cluster-load
cluster-load: venv ## Load an image archive into the cluster: make cluster-load IMAGE=archive.tar
	@test -n "$(IMAGE)" || { echo "name the archive: make cluster-load IMAGE=archive.tar" >&2; exit 1; }
	@$(PY) -m e2e.cluster load $(IMAGE)

.PHONY: bench-judge
bench-judge: venv ## How soon and how surely the sequential judge decides, beside classic rules; seeds fixed
	@$(PY) -m bench.judge

.PHONY: bench-judge-cluster
bench-judge-cluster: venv ## The same on the real cluster, as callers see it: 20 bad versions, one under classic thresholds, 5 good ones
	@$(PY) -m bench.judge_cluster

.PHONY: images
images: venv ## Build every image and load what changed into the cluster
	@$(PY) -m e2e.cluster images

.PHONY: conformance
conformance: venv ## Gateway API's public suite on the real cluster; one test by name: make conformance TEST=HTTPRouteWeight
	@$(PY) -m e2e.conformance $(if $(TEST),--test $(TEST),--write docs/conformance.md)

.PHONY: bench-mesh
bench-mesh: venv ## The control plane under 100 envoy-like proxies: times, CPU, bytes and memory
	@$(PY) -m bench.mesh

.PHONY: bench-mesh-scope
bench-mesh-scope: venv ## The book's test: 13 proxies, 600 services; pushes and times with and without a Sidecar
	@$(PY) -m bench.mesh_scope

.PHONY: bench-loss
bench-loss: venv ## 500 requests a second on the real cluster while all of the mesh changes: what is lost; then what proxies add
	@$(PY) -m bench.loss

.PHONY: bench-controller
bench-controller: venv ## The delivery controller with 100, 600 and 1,000 canaries on a real API server: requests, times, CPU, memory
	@$(PY) -m e2e.cluster build kubernetes prometheus
	@$(PY) -m bench.controller

.PHONY: clean
clean: venv ## Remove every process, bridge, rule, mount and directory of the cluster, and nothing else
	@$(PY) -m e2e.cluster clean
