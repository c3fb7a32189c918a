# BlurNet for TensorFlow. `make help` lists the targets and variables.

# --- Variables: set them on the command line, `make blackbox DATA=rp2 SEED=1` ---------------------------------------
PYTHON     ?= python3
VENV       ?= .venv
DATA       ?= auto
DATA_DIR   ?= data
PRESET     ?= quick
MASK       ?=
TARGET     ?= speedLimit45
STEPS      ?=
LAMBDA     ?= 0.002
SEED       ?= 0
TRAIN_SEED ?= 0
VARIANT    ?= baseline
RESULTS    ?= results
CHECKPOINTS ?= checkpoints
ARGS       ?=
PYTEST_ARGS ?=

export BLURNET_DATA

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help blackbox train data assets test lint format clean distclean FORCE

# --- Environment: a stamp says that it is whole; an edited setup.cfg makes a new one ---------------------------------
ifeq ($(strip $(VENV)),)
PY := $(PYTHON)
RUN_ENV :=
TEST_ENV :=
LINT_ENV :=
else
PY := $(VENV)/bin/python
RUN_ENV := $(VENV)/.installed
TEST_ENV := $(VENV)/.installed-test
LINT_ENV := $(VENV)/.installed-lint
endif

$(VENV)/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: $(PYTHON) must be Python 3.10 to 3.13; name one with PYTHON=" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$*]"
	@touch $@

# --- Experiments -----------------------------------------------------------------------------------------------------
SOURCES := $(wildcard src/blurnet_tf/*.py src/blurnet_tf/*/*.py experiments/*.py)
RELEASE := $(wildcard $(foreach root,$(BLURNET_DATA) $(DATA_DIR),$(root)/rp2/*.txt $(root)/rp2/*/*))

TRAIN_FLAGS := --preset $(PRESET) --train-seed $(TRAIN_SEED) --checkpoints $(CHECKPOINTS)
BLACKBOX_FLAGS := --data $(DATA) --data-dir $(DATA_DIR) $(TRAIN_FLAGS) --target $(TARGET) --penalty $(LAMBDA) \
  --seed $(SEED) $(if $(STEPS),--steps $(STEPS)) $(if $(MASK),--mask $(MASK)) $(ARGS)

BASELINE := $(CHECKPOINTS)/$(if $(filter-out quick,$(PRESET)),$(PRESET)/)baseline.keras

blackbox: $(RESULTS)/blackbox/table1.json  ## Table 1: attack the baseline, transfer to its filtered versions
	@echo "Table 1 is up to date: $(RESULTS)/blackbox/table1.md"

$(RESULTS)/blackbox/table1.json: $(RESULTS)/blackbox/.settings $(or $(MASK),masks/sticker.png) \
  $(SOURCES) $(RELEASE) $(wildcard $(BASELINE)) | $(RUN_ENV)
	@$(PY) -m experiments.blackbox $(BLACKBOX_FLAGS) --results $(@D)

# Changes only when a setting changes, so that a second run with nothing changed does nothing.
$(RESULTS)/blackbox/.settings: FORCE
	@mkdir -p $(@D)
	@echo '$(BLACKBOX_FLAGS) BLURNET_DATA=$(BLURNET_DATA) $(words $(RELEASE))' | cmp -s - $@ || \
	  echo '$(BLACKBOX_FLAGS) BLURNET_DATA=$(BLURNET_DATA) $(words $(RELEASE))' > $@

train: $(RUN_ENV)  ## Train VARIANT on rendered signs into CHECKPOINTS
	@$(PY) -m experiments.train $(TRAIN_FLAGS) --variant $(VARIANT) $(ARGS)

data: $(RUN_ENV)  ## Fetch the RP2 release into DATA_DIR, checked against pinned sums
	@$(PY) -m experiments.fetch --data-dir $(DATA_DIR) $(ARGS)

assets: $(RUN_ENV)  ## Draw masks/, the palette and the README's sheet of signs anew
	@$(PY) -m experiments.assets $(ARGS)

# --- Development -----------------------------------------------------------------------------------------------------
test: $(TEST_ENV)  ## Run all tests; those on real data need BLURNET_DATA or `make data`
	$(PY) -m pytest $(PYTEST_ARGS)

lint: $(LINT_ENV)  ## Check style (ruff) and types (mypy, strict)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(LINT_ENV)  ## Rewrite the code in the project's style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:  ## Remove results and caches; keep checkpoints, data and the environment
	rm -rf $(RESULTS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info

distclean: clean  ## Remove everything that is not in git, but the data
	rm -rf $(VENV) $(CHECKPOINTS)

help:  ## Show this text
	@echo 'make blackbox    runs the transfer experiment; everything it needs is made first'
	@echo; echo 'Targets:'
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14
	@echo; echo 'Variables (now):'
	@printf '  %-12s %s\n' \
	  'DATA' 'rp2, synthetic, or auto: rp2 if it is there ($(DATA))' \
	  'BLURNET_DATA' 'folder that holds rp2/ ($(BLURNET_DATA))' \
	  'DATA_DIR' 'folder that `make data` fills, looked at second ($(DATA_DIR))' \
	  'PRESET' 'smoke, quick or paper: how much work ($(PRESET))' \
	  'MASK' 'image of the mask; default: the sticker mask of the data ($(MASK))' \
	  'TARGET' 'class that the attack wants, name or index ($(TARGET))' \
	  'STEPS' 'steps of the attack; default: that of the preset ($(STEPS))' \
	  'LAMBDA' 'weight of the norm of the perturbation ($(LAMBDA))' \
	  'SEED' 'seed of the attack ($(SEED))' \
	  'TRAIN_SEED' 'seed of the training ($(TRAIN_SEED))' \
	  'VARIANT' 'model that `make train` trains ($(VARIANT))' \
	  'RESULTS' 'folder of the results ($(RESULTS))' \
	  'CHECKPOINTS' 'folder of the trained models ($(CHECKPOINTS))' \
	  'ARGS' 'further arguments of the program; ARGS=--help lists them ($(ARGS))' \
	  'PYTEST_ARGS' 'arguments of pytest, such as "-m not\ slow" ($(PYTEST_ARGS))' \
	  'VENV' 'virtual environment; empty: use PYTHON as it is ($(VENV))' \
	  'PYTHON' 'Python 3.10 to 3.13 ($(PYTHON))'
