# Everything a person or CI does here. Every target makes the environment it needs, in .venv; nothing else is touched.
#
#   make run     install, start a grid of one machine, show its web page
#   make test    install all that the tests need, and run everything
#
# PYTHON=python3.12 chooses the interpreter; otherwise the newest of 3.13, 3.12, 3.11 that works.
# LAFS_PEER=/path/to/tahoe uses a Tahoe-LAFS 1.20 that is already there, instead of installing one in .venv-peer.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import ensurepip, sqlite3, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then command -v $$python; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
PEER_VERSION := 1.20.0
LAFS_PEER ?= $(CURDIR)/.venv-peer/bin/tahoe
export LAFS_PEER

# What the tests drive that pip cannot install. Only on Debian, only as root, only what is missing.
DEBIAN_PACKAGES := chromium chromium-driver curl fuse3 git lftp openssh-client rclone sshfs

TESTS ?= tests
JOBS ?= 2
SEEDS ?= 5000

.PHONY: help run test test-fast lint soak bench bench-quick screenshots docs clean debian-packages

help: ## List the targets.
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: $(VENV)/.installed ## Start a grid of one machine and show its web page.
	$(BIN)/lafs up

test: $(VENV)/.installed-for-tests debian-packages .axe/axe.min.js $(if $(wildcard $(LAFS_PEER)),,.venv-peer/.installed) lint ## Everything, with coverage.
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --cov --cov-report term $(TESTS)

test-fast: $(VENV)/.installed-for-tests ## The tests that start no processes and need no peer.
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not process and not peer" $(TESTS)

lint: $(VENV)/.installed-for-tests ## ruff, mypy --strict, import-linter.
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(VENV)/.installed-for-tests ## The simulation, with SEEDS=5000 seeds.
	LAFS_SOAK_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/simulation

bench: $(VENV)/.installed-for-tests $(if $(wildcard $(LAFS_PEER)),,.venv-peer/.installed) ## Measure against the peer.
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.sftp

bench-quick: $(VENV)/.installed-for-tests $(if $(wildcard $(LAFS_PEER)),,.venv-peer/.installed) ## The same, rougher.
	$(BIN)/python -m benchmarks --quick

screenshots: $(VENV)/.installed-for-tests debian-packages ## Draw the pictures in docs/screenshots anew.
	LAFS_SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest tests/browser/test_screenshots.py

docs: $(VENV)/.installed ## Write anew what is made from the code: lafs.1, the tables of configuration.md.
	$(BIN)/python docs/man_page.py > docs/lafs.1
	$(BIN)/python docs/configuration_tables.py docs/configuration.md

clean: ## Remove everything that was built, the environments too.
	rm -rf $(VENV) .venv-peer .axe build dist *.egg-info .coverage* .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments ----------------------------------------------------------------------------------------------------------
# A stamp file in each says that it is complete, and is older than setup.cfg when it must be looked at again.
# pip's chatter goes to a log, shown when something fails.

define pip_install
	@echo "installing $(2) in $(1)"
	@$(1)/bin/python -m pip install $(2) >$(1)/pip.log 2>&1 || { cat $(1)/pip.log; exit 1; }
endef

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "lafs needs Python 3.11 or newer, with venv (Debian: apt install python3-venv)"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(call pip_install,$(VENV),--upgrade pip)
	touch $@

$(VENV)/.installed: $(VENV)/.made setup.cfg pyproject.toml
	$(call pip_install,$(VENV),--editable .)
	touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed
	$(call pip_install,$(VENV),--editable '.[test]')
	touch $@

# The real peer, a black box in an environment of its own. It still needs pkg_resources, which setuptools 81 dropped.
.venv-peer/.installed:
	rm -rf .venv-peer
	"$(PYTHON)" -m venv .venv-peer
	$(call pip_install,.venv-peer,--upgrade pip 'setuptools<81')
	$(call pip_install,.venv-peer,'tahoe-lafs==$(PEER_VERSION)')
	.venv-peer/bin/tahoe --version
	touch $@

# What judges the accessibility of the pages. npm comes with a hundred packages on Debian, so only where there is none.
AXE_VERSION := 4.10.3
.axe/axe.min.js:
	@command -v npm >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm; }
	@mkdir -p .axe
	@cd .axe && npm pack --silent axe-core@$(AXE_VERSION) >/dev/null && tar -xzf axe-core-$(AXE_VERSION).tgz --strip-components 1 package/axe.min.js
	@rm .axe/axe-core-$(AXE_VERSION).tgz && touch $@

debian-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s $(DEBIAN_PACKAGES) >/dev/null 2>&1; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBIAN_PACKAGES); \
	fi
