# Every target sets up what it needs in .venv by itself: on a fresh machine that has
# Python 3.11 to 3.13, `make demo` or `make test` is enough. Without make: docs/setup.md.
VENV := .venv
BIN  := $(VENV)/bin
TSC  := tests/node/node_modules/.bin/tsc
# The first that will do; make setup PYTHON=... names another.
PYTHON ?= $(or $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import common' 2>/dev/null && echo $$python && break; done),python3)

.PHONY: help setup dev demo test test-slow lint lock bench base clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A stamp is newer than what is to be installed only if the last install succeeded.
# In an environment of before, the package named tensorflow lies where tensorflow-cpu goes.
# The pip that comes with Python 3.11 and 3.12 is silent while it unpacks, and knows no
# --group.
$(VENV)/.run-time: requirements.txt
	@$(PYTHON) -c 'import common'
	@echo "Installing what the commands need into $(VENV):"
	@echo "  on Linux $(RUN_TIME_SIZE); elsewhere about as much"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==26.3
	if test -e $(VENV)/.installed; then $(PIP) uninstall --yes tensorflow; fi
	rm -f $(VENV)/.installed
	$(PIP) install --requirement requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.run-time pyproject.toml
	@echo "Installing what the tests and checks need, besides:"
	@echo "  $(DEV_SIZE)"
	$(PIP) install --group dev
	touch $@

PIP = $(BIN)/python -m pip --disable-pip-version-check
# Measured on Linux, as docs/setup.md says.
RUN_TIME_SIZE := 0.58 GB to download, 2.4 GB on disk, a minute or two
DEV_SIZE      := 0.26 GB to download, 0.8 GB on disk, another minute

# For the tests with a browser and with JavaScript's own client, and to check the types of
# the page; without npm they say that they are skipped.
tests/node/node_modules: tests/node/package-lock.json
	if command -v npm >/dev/null; then cd tests/node && npm ci --no-audit --no-fund; fi
	mkdir -p $@ && touch $@

setup: $(VENV)/.run-time  ## Make .venv with what the commands need.

dev: $(VENV)/.dev tests/node/node_modules  ## Add what the tests, checks and all options need.

demo:  ## Record, look, train, drive: the main job, into demo/ (DATA=folder: yours; QUICK=1).
	@# What is in the way is said before anything is installed.
	@test -e $(VENV)/.run-time || $(PYTHON) demo.py --check $(DEMO)
	@$(MAKE) --no-print-directory setup
	$(BIN)/python demo.py $(DEMO)

DEMO = $(if $(DATA),--data "$(DATA)") $(if $(OUT),--out "$(OUT)") \
	$(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(PORT),--port $(PORT)) $(if $(QUICK),--quick)

test: dev  ## Run the tests (a quarter of an hour on 2 cores, or more; no network).
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not alone"
	$(BIN)/python -m pytest -m "alone and not slow" tests/driving

test-slow: dev  ## Run the long training and closed-loop tests.
	$(BIN)/python -m pytest -m slow

lint: dev  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if test -x $(TSC); then $(TSC) -p tests/node; else echo "driving/cockpit/page/*.js not checked: needs npm"; fi

# Both are committed; CONTRIBUTING.md says when to write them anew.
lock: dev  ## Pin what pyproject.toml names, in uv.lock, and in requirements.txt for pip.
	$(BIN)/uv lock
	$(BIN)/uv export --quiet --frozen --no-hashes --no-annotate -o requirements.txt

# Not among them, because they need a model or a recording that is named:
# input_pipeline, robustness, teaching, workers.
BENCHMARKS := augmentation training_step simulator drive_loop takeover

bench: setup  ## Run the benchmarks of speed; each prints a table and one JSON line.
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

# What models/base holds, made anew: 7 GB of roads in data/base, 24 GB of cached views, and
# an hour on two cores that do nothing else. A road that the expert loses is left out.
base: setup  ## Record random roads, and train the base model on them, into models/base-anew.
	$(ROADS) serpentine:1300-1379 --frames 260 --randomise 1 --speed 20 --out data/base/serpentine
	$(ROADS) serpentine:1380-1439 --frames 260 --randomise 0.4 --speed 20 --noise 0.15 \
		--out data/base/serpentine_mild
	$(ROADS) serpentine:1440-1499 --frames 260 --randomise 1 --speed 20 --noise 0.15 \
		--out data/base/serpentine_noisy
	$(ROADS) winding:1200-1239 --frames 225 --randomise 1 --speed 20 --out data/base/winding
	$(ROADS) winding:1240-1279 --frames 225 --randomise 0.4 --speed 20 --noise 0.15 \
		--out data/base/winding_mild
	$(ROADS) random:1000-1089 --frames 225 --randomise 1 --out data/base/full
	$(ROADS) random:1100-1149 --frames 225 --randomise 0.4 --out data/base/mild
	$(BIN)/python train.py data/base/*/* --name base-anew --from scratch --deterministic \
		--dropout 0 --flip 0 --look-ahead-s 0.6 --label-before-s 0.1 --label-after-s 0.3 \
		--epochs 14 --steps-per-epoch 900 --validation-fraction 0.1

ROADS = $(BIN)/python simulate.py record --direction both --noise 0.1 --workers 2

clean:  ## Remove the virtual environment and the demo's output.
	rm -rf $(VENV) demo
