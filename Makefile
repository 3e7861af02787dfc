# Every target sets up its own virtual environment: `make test` is enough on a fresh
# machine that has Python 3.11 to 3.13; make setup PYTHON=python3.12 names one.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TSC    := tests/node/node_modules/.bin/tsc

.PHONY: help setup demo test test-slow lint bench base clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is newer than what is to be installed only if the last install succeeded.
# The pip that comes with Python 3.11 and 3.12 knows no --group.
$(VENV)/.installed: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==26.3
	$(BIN)/python -m pip install --quiet -r requirements.txt --group dev
	touch $@

# For the tests with a browser and with JavaScript's own client, and to check the types of
# the page; without npm they say that they are skipped.
tests/node/node_modules: tests/node/package-lock.json
	if command -v npm >/dev/null; then cd tests/node && npm ci --silent --no-audit --no-fund; fi
	mkdir -p $@ && touch $@

setup: $(VENV)/.installed tests/node/node_modules  ## Make .venv with everything that the project needs.

demo: setup  ## Record, look, train, drive: the main job, into demo/ (DATA=folder: yours; QUICK=1).
	$(BIN)/python demo.py $(if $(DATA),--data "$(DATA)") $(if $(OUT),--out "$(OUT)") \
		$(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(PORT),--port $(PORT)) $(if $(QUICK),--quick)

test: setup  ## Run the tests (at most 10 minutes on 2 cores, no network).
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not alone"
	$(BIN)/python -m pytest -m "alone and not slow" tests/driving

test-slow: setup  ## Run the long training and closed-loop tests.
	$(BIN)/python -m pytest -m slow

lint: setup  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if test -x $(TSC); then $(TSC) -p tests/node; else echo "driving/cockpit/page/*.js not checked: needs npm"; fi

# Not among them, because they need a model or a recording that is named:
# input_pipeline, robustness, teaching, workers.
BENCHMARKS := augmentation training_step simulator drive_loop takeover

bench: setup  ## Run the benchmarks of speed; each prints a table and one JSON line.
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

# What models/base holds, made anew: 4 GB of roads in data/base, and half an hour on two cores
# that do nothing else.
base: setup  ## Record random roads, and train the base model on them, into models/base-anew.
	$(ROADS) serpentine:1300-1379 --frames 260 --randomise 1 --speed 20 --out data/base/serpentine
	$(ROADS) winding:1200-1239 --frames 225 --randomise 1 --speed 20 --out data/base/winding
	$(ROADS) random:1000-1089 --frames 225 --randomise 1 --out data/base/full
	$(ROADS) random:1100-1149 --frames 225 --randomise 0.4 --out data/base/mild
	$(BIN)/python train.py data/base/*/* --name base-anew --from scratch --deterministic \
		--flip 0 --look-ahead-s 0.6 --label-before-s 0.1 --label-after-s 0.3 --epochs 12 \
		--steps-per-epoch 900 --validation-fraction 0.1

ROADS = $(BIN)/python simulate.py record --direction both --noise 0.1 --workers 2

clean:  ## Remove the virtual environment and the demo's output.
	rm -rf $(VENV) demo
