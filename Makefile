# Each target is one command that can be given at any time and again. `make`
# alone lists them.
#
# CARGO_TARGET_DIR is honoured. The images, the Python packages of the tests and
# the disk of their hosts always go below target/ of this directory.

SHELL := /bin/sh
.SHELLFLAGS := -euc
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CARGO ?= cargo
# Daemons are in sbin, which is not in everybody's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

VENV := target/venv
release = $(or $(CARGO_TARGET_DIR),target)/release
export MOTO_SERVER ?= $(CURDIR)/$(VENV)/bin/moto_server

# How many tests of one program run side by side.
TEST_THREADS ?= $(shell nproc)
# How long `make soak` goes on.
ROUNDS ?= 10
.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Show it at work on this machine, AWS simulated; KEEP=1 leaves it up
	.ci/tools build etcd docker ipvs || { .ci/tools build etcd && echo "The demo goes on without."; }
	$(CARGO) build --locked -p lbmanager -p launcher
	$(CARGO) build --locked -p testbed --bins
	$(CARGO) run --locked -p testbed --bin demo

.PHONY: test
test: test-tools ## Everything that must hold; installs what it lacks
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	$(CARGO) check --locked -p lbmanager --no-default-features
	RUST_TEST_THREADS=$(TEST_THREADS) \
	    $(CARGO) test --locked --workspace --all-features --no-fail-fast

.PHONY: check
check: ## The quick part of it: format, lints, unit tests
	.ci/tools build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	$(CARGO) test --locked --workspace --exclude testbed --all-features --lib

.PHONY: soak
soak: test-tools ## All tests and the long ones, ROUNDS=n times as long (10)
	PROPTEST_CASES=$$(($(ROUNDS) * 256)) SOAK_ROUNDS=$(ROUNDS) RUST_TEST_THREADS=$(TEST_THREADS) \
	    $(CARGO) test --locked --workspace --all-features --no-fail-fast -- --include-ignored

.PHONY: bench
bench: ## Measure; the figures are also written to target/bench
	.ci/tools build etcd docker ipvs
	$(CARGO) build --locked --release -p lbmanager -p launcher -p service-monitor
	$(CARGO) build --locked --release -p testbed --bin contained
	$(CARGO) build --locked --release -p ipvs --example measure_ipvs
	$(CARGO) run --locked --release -p testbed --bin bench

.PHONY: shell-ipvs
shell-ipvs: ## Open a shell where the kernel has IPVS, to play in
	.ci/tools build etcd ipvs
	$(CARGO) build --locked -p lbmanager
	$(CARGO) run --locked -p testbed --bin guest

.PHONY: images
images: ## Build the Docker images, and keep them as files in target/images
	.ci/tools build docker
	$(CARGO) build --locked --release -p lbmanager -p launcher -p service-monitor
	docker/with-daemon sh -euc 'for program in lbmanager launcher service-monitor; do \
	    docker/build "$$program" "$(release)/$$program" target/images; done'

.PHONY: test-tools
test-tools: $(VENV)/complete ## Install what the tests need beyond Rust, git and make
	.ci/tools build etcd docker ipvs systemd clock host

$(VENV)/complete: testbed/requirements.txt
	.ci/tools python
	python3 -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: clean
clean: ## Remove everything that was built
	$(CARGO) clean
	rm -rf $(VENV) target/images target/host
