# BlurNet for TensorFlow. `make help` lists the targets and variables. GNU make 4.3 or newer.

# --- Variables: set them on the command line, `make blackbox DATA=rp2 SEED=1` ----------------------------------------
PYTHON      ?= python3
VENV        ?= .venv
DATA        ?= auto
DATA_DIR    ?= data
LISA_ROOT   ?=
SPLIT       ?= track
PRESET      ?= quick
MASK        ?=
TARGET      ?= speedLimit45
STEPS       ?=
LAMBDA      ?= 0.002
NPS         ?=
PALETTE     ?=
SEED        ?= 0
TRAIN_SEED  ?= 0
VARIANT     ?= all
INIT        ?= random
PRECISION   ?= auto
SEEDS       ?= $(SEED)
LAMBDAS     ?= $(if $(filter-out file,$(origin LAMBDA)),$(LAMBDA))
KILLS       ?= 20
RUN         ?= all
RESULTS     ?= results
CHECKPOINTS ?= checkpoints
EXPORTS     ?= exports
FORMAT      ?= savedmodel
MODEL       ?=
SIGNATURE   ?=
OUTPUT      ?= logits
OUTPUT_NAME ?=
LABELS      ?=
VICTIMS     ?=
LABEL       ?=
TARGETS     ?=
ARGS        ?=
PYTEST_ARGS ?=

export BLURNET_DATA

# Make splits its targets at spaces: such a path would be taken for two, by `clean` as well.
$(foreach name,VENV DATA_DIR BLURNET_DATA MASK PALETTE RESULTS CHECKPOINTS EXPORTS MODEL LABELS \
  VICTIMS,$(if $(word 2,$($(name))),\
  $(error $(name) must be a path without spaces. Received: $(name)=$($(name)))))

.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help blackbox whitebox figures ablation report train export reproduction bench chaos data assets notebook dist \
  test lint format clean distclean FORCE

# --- Environment: a stamp says that it is whole; an edited setup.cfg makes a new one ---------------------------------
ifeq ($(strip $(VENV)),)
PY := $(PYTHON)
RUN_ENV :=
ONNX_ENV :=
DIST_ENV :=
TEST_ENV :=
LINT_ENV :=
export PYTHONPATH := $(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH))
else
PY := $(VENV)/bin/python
RUN_ENV := $(VENV)/.installed
ONNX_ENV := $(VENV)/.installed-onnx
DIST_ENV := $(VENV)/.installed-dist
TEST_ENV := $(VENV)/.installed-test
LINT_ENV := $(VENV)/.installed-lint
endif
# Says that a folder is ours, so that no other one is ever emptied.
OURS := $(VENV)/.made-by-make

$(VENV)/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: $(PYTHON) must be Python 3.10 to 3.13; name one with PYTHON=" >&2; exit 1; }
	@[ ! -e $(VENV) ] || [ -e $(OURS) ] || \
	  { echo "error: $(VENV) was not made by this Makefile and stays as it is. Name another folder with VENV=," \
	    "or run in it: VENV= PYTHON=$(VENV)/bin/python" >&2; exit 1; }
	@rm -rf $(VENV) && mkdir -p $(VENV) && touch $(OURS)
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[$*]"
	@touch $@

# --- The transfer experiment: the attack writes records, the table and the pictures are made of them ------------------
OUT := $(RESULTS)/blackbox
ATTACKED := $(addprefix $(OUT)/,records.csv provenance.json signs.npz perturbation.npy)
REPORTED := $(addprefix $(OUT)/,table1.json table1.csv table1.md adversarial.png perturbation.png)

REPORTING := $(wildcard src/blurnet_tf/reporting/*.py src/blurnet_tf/evaluation/*.py) experiments/table1.py
SPECTRA := $(addprefix src/blurnet_tf/evaluation/,spectra.py feature_maps.py high_frequency.py)
ELSEWHERE := $(wildcard $(addprefix src/blurnet_tf/,__main__.py reporting/*.py export/*.py commands/*.py))
SOURCES := $(filter-out $(ELSEWHERE) $(SPECTRA),$(wildcard src/blurnet_tf/*.py src/blurnet_tf/*/*.py)) \
  $(wildcard $(addprefix experiments/,blackbox.py cli.py))
RELEASE := $(wildcard $(foreach root,$(BLURNET_DATA) $(DATA_DIR),$(root)/rp2/*.txt $(root)/rp2/*/*))
BASELINE := $(CHECKPOINTS)/$(if $(filter-out quick,$(PRESET)),$(PRESET)/)$(if $(filter-out 0,$(TRAIN_SEED)),seed-$(TRAIN_SEED)/)baseline.keras

TRAIN_FLAGS := --preset $(PRESET) --train-seed $(TRAIN_SEED) --precision $(PRECISION) --checkpoints $(CHECKPOINTS)
DATA_FLAGS := --data $(DATA) --data-dir $(DATA_DIR)
SURFACE_FLAGS := $(if $(STEPS),--steps $(STEPS)) $(if $(MASK),--mask $(MASK)) $(if $(NPS),--nps $(NPS)) \
  $(if $(PALETTE),--palette $(PALETTE))
BLACKBOX_FLAGS := $(DATA_FLAGS) $(TRAIN_FLAGS) --target $(TARGET) --penalty $(LAMBDA) --seed $(SEED) \
  $(SURFACE_FLAGS) $(ARGS)

# With MODEL= both experiments are about that model: their programs know which cells are whole.
MODEL_FLAGS := --model $(MODEL) --output $(OUTPUT) $(if $(SIGNATURE),--signature "$(SIGNATURE)") \
  $(if $(OUTPUT_NAME),--output-name "$(OUTPUT_NAME)") $(if $(LABELS),--labels $(LABELS)) \
  $(if $(VICTIMS),--victims $(VICTIMS)) $(if $(LABEL),--label "$(LABEL)") $(DATA_FLAGS) --preset $(PRESET)

ifneq ($(MODEL),)
blackbox: $(RUN_ENV)
	@$(PY) -m experiments.blackbox_model $(MODEL_FLAGS) --target "$(TARGET)" --penalty $(LAMBDA) --seed $(SEED) \
	  $(SURFACE_FLAGS) $(ARGS) --results $(RESULTS)/models
else
blackbox: $(REPORTED)  ## Table 1: attack the baseline, transfer to its filtered versions; or attack MODEL
	@echo "Table 1 is up to date: $(OUT)/table1.md"
endif

$(REPORTED) &: $(ATTACKED) $(REPORTING) | $(RUN_ENV)
	@$(PY) -m experiments.table1 --results $(OUT)

$(ATTACKED) &: $(OUT)/.settings $(wildcard $(MASK) $(PALETTE) masks/*) $(SOURCES) $(RELEASE) $(wildcard $(BASELINE)) \
  | $(RUN_ENV)
	@$(PY) -m experiments.blackbox $(BLACKBOX_FLAGS) --results $(OUT)

ablation: $(ATTACKED) | $(RUN_ENV)  ## Section 3.1: the blur after each layer, under the attack of `make blackbox`
	@$(PY) -m experiments.ablation --data-dir $(DATA_DIR) $(TRAIN_FLAGS) --attacked $(OUT) --results $(RESULTS)/ablation

# Changes only when a setting changes, so that a second run with nothing changed does nothing.
$(OUT)/.settings: FORCE
	@mkdir -p $(OUT)
	@echo '$(BLACKBOX_FLAGS) BLURNET_DATA=$(BLURNET_DATA) $(words $(RELEASE))' | cmp -s - $@ || \
	  echo '$(BLACKBOX_FLAGS) BLURNET_DATA=$(BLURNET_DATA) $(words $(RELEASE))' > $@

# --- The white-box experiment: its programs know which checkpoints and cells are whole, and make only what is missing --
LEARNT_FLAGS := $(DATA_FLAGS) --split $(SPLIT) $(TRAIN_FLAGS) --init $(INIT) --variant $(VARIANT)
ATTACK_FLAGS := --seeds $(SEEDS) $(if $(LAMBDAS),--penalties $(LAMBDAS)) $(SURFACE_FLAGS)
WHITEBOX := $(RESULTS)/whitebox

whitebox: $(RUN_ENV)  ## Table 2: train the variants, attack each through its defence; or attack MODEL
ifneq ($(MODEL),)
	@$(PY) -m experiments.whitebox_model $(MODEL_FLAGS) $(ATTACK_FLAGS) $(if $(TARGETS),--targets $(TARGETS)) $(ARGS) \
	  --results $(RESULTS)/models
else
	@$(PY) -m experiments.whitebox $(LEARNT_FLAGS) $(ATTACK_FLAGS) $(ARGS) --results $(WHITEBOX)
endif

# --- The figures: drawn of what is stored, whatever its settings; the transfer experiment runs if there is none ---------
FIGURES := $(RESULTS)/figures

figures: $(filter-out $(wildcard $(ATTACKED)),$(ATTACKED)) | $(RUN_ENV)  ## Figures 1 to 4, of what blackbox and whitebox stored
	@$(PY) -m experiments.figures --data-dir $(DATA_DIR) --preset $(PRESET) --train-seed $(TRAIN_SEED) \
	  --split $(SPLIT) --init $(INIT) --checkpoints $(CHECKPOINTS) --blackbox $(OUT) --whitebox $(WHITEBOX) $(ARGS) \
	  --results $(FIGURES)

# --- The report: one page of whatever is stored; it says which command makes what it lacks --------------------------
report: $(RUN_ENV)  ## All results on one page, RESULTS/report.html
	@$(PY) -m experiments.report --checkpoints $(CHECKPOINTS) $(ARGS) --results $(RESULTS)

train: $(RUN_ENV)  ## Train VARIANT on LISA (if it is there) or rendered signs, into CHECKPOINTS
	@$(PY) -m experiments.train $(LEARNT_FLAGS) $(ARGS)

# The model cards take their rows from the tables in RESULTS, if those are of the same weights.
export: $(if $(filter onnx,$(FORMAT)),$(ONNX_ENV),$(RUN_ENV))  ## Write VARIANT as SavedModel and .keras (and FORMAT) into EXPORTS
	@$(PY) -m experiments.export $(LEARNT_FLAGS) --format $(FORMAT) $(ARGS) --results $(RESULTS) --exports $(EXPORTS)

reproduction: $(RUN_ENV)  ## The runs of docs/reproduction.md: what moves the numbers of Table 2 (LISA and RP2)
	@$(PY) -m experiments.reproduction --data-dir $(DATA_DIR) --precision $(PRECISION) --checkpoints $(CHECKPOINTS) \
	  --run $(RUN) $(ARGS) --results $(RESULTS)/reproduction

bench: $(RUN_ENV)  ## Time the attack and a training step against plain ones and the machine; see docs/benchmarks.md
	@$(PY) -m experiments.bench $(ARGS) --results $(RESULTS)/bench

chaos: $(RUN_ENV)  ## Kill the white-box sweep KILLS times at random, resume it, compare the tables
	@$(PY) -m experiments.chaos --kills $(KILLS) $(ARGS) --results $(RESULTS)/chaos

data: $(RUN_ENV)  ## Fetch the RP2 release into DATA_DIR, checked; with LISA_ROOT=, prepare LISA there instead
	@$(PY) -m experiments.$(if $(LISA_ROOT),prepare_lisa --root "$(LISA_ROOT)",fetch) --data-dir $(DATA_DIR) $(ARGS)

assets: $(RUN_ENV)  ## Draw masks/, the palette and the README's sheet of signs anew
	@$(PY) -m experiments.assets $(ARGS)

notebook: $(TEST_ENV)  ## Run examples/quickstart.ipynb and keep what it shows
	@$(PY) -m experiments.notebook $(ARGS)

# --- Development -----------------------------------------------------------------------------------------------------
dist: $(DIST_ENV)  ## Build the sdist, and from it the wheel, into dist/
	$(PY) -m build --no-isolation --outdir dist

test: $(TEST_ENV)  ## Run all tests; those on real data need BLURNET_DATA or `make data`
	$(PY) -m pytest --numprocesses auto --maxprocesses 2 --dist loadfile $(PYTEST_ARGS)

lint: $(LINT_ENV)  ## Check style (ruff) and types (mypy, strict)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(LINT_ENV)  ## Rewrite the code in the project's style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:  ## Remove results and caches, but for the long runs of reproduction; keep checkpoints, exports, data, environment
	rm -rf $(OUT) $(WHITEBOX) $(FIGURES) $(addprefix $(RESULTS)/,ablation bench chaos models report.html) build dist
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean  ## Remove the environment as well
	rm -rf $(if $(wildcard $(OURS)),$(VENV)) src/*.egg-info

help:  ## Show this text
	@echo 'make blackbox    runs the transfer experiment; everything it needs is made first'
	@echo 'make whitebox    trains the defences and attacks each with full knowledge'
	@echo 'make figures     draws the spectra, and Figure 4 once there is a white box'
	@echo; echo 'Targets:'
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16
	@echo; echo 'Variables (now):'
	@printf '  %-12s %s\n' \
	  'DATA' 'to attack: rp2, synthetic, auto; to train: lisa, synthetic, auto ($(DATA))' \
	  'BLURNET_DATA' 'folder that holds rp2/ and lisa/ ($(BLURNET_DATA))' \
	  'DATA_DIR' 'folder that `make data` fills, looked at second ($(DATA_DIR))' \
	  'LISA_ROOT' 'official download of LISA, folder or zip, for `make data` ($(LISA_ROOT))' \
	  'SPLIT' 'of LISA: track, or random, which leaks ($(SPLIT))' \
	  'PRESET' 'smoke, quick or paper: how much work ($(PRESET))' \
	  'MASK' 'image of the mask; default: the sticker mask of the data ($(MASK))' \
	  'TARGET' 'class that the attack wants, name or index ($(TARGET))' \
	  'STEPS' 'steps of the attack; default: that of the preset ($(STEPS))' \
	  'LAMBDA' 'weight of the norm of the perturbation ($(LAMBDA))' \
	  'NPS' 'non-printability score: original or corrected; default: none ($(NPS))' \
	  'PALETTE' 'printable colours, with NPS; default: the palette of the data ($(PALETTE))' \
	  'SEED' 'seed of the attack ($(SEED))' \
	  'TRAIN_SEED' 'seed of the training ($(TRAIN_SEED))' \
	  'LAMBDAS' 'those of the white box, a list; default: LAMBDA if given, else of the preset ($(LAMBDAS))' \
  'SEEDS' 'those of the white box, a list ($(SEEDS))' \
  'VARIANT' 'models to train, attack or export, a list, or all ($(VARIANT))' \
  'FORMAT' 'to export beside the SavedModel: litert, onnx, a list ($(FORMAT))' \
  'MODEL' 'SavedModel folder or .keras file to attack, with blackbox or whitebox ($(MODEL))' \
  'SIGNATURE' 'of MODEL, if it is a SavedModel; default: serving_default ($(SIGNATURE))' \
  'OUTPUT' 'what MODEL gives: logits or probabilities ($(OUTPUT))' \
  'OUTPUT_NAME' 'which output of MODEL; default: the only one, or the one called like OUTPUT ($(OUTPUT_NAME))' \
  'LABELS' 'class names of MODEL, a text file; default: its assets/labels.txt, else LISA ($(LABELS))' \
  'VICTIMS' 'folder of images for MODEL; default: the signs of DATA ($(VICTIMS))' \
  'LABEL' 'class of all VICTIMS; default: labels.csv in their folder ($(LABEL))' \
  'TARGETS' "classes that the white box on MODEL wants, a list; default: all others ($(TARGETS))" \
  'INIT' 'start of a training: random or rp2_release ($(INIT))' \
  'PRECISION' 'auto, float32 or mixed_bfloat16, to train and attack in ($(PRECISION))' \
  'RUN' 'runs of `make reproduction`, a list, or all ($(RUN))' \
  'KILLS' 'how often `make chaos` kills ($(KILLS))' \
	  'RESULTS' 'folder of the results ($(RESULTS))' \
	  'CHECKPOINTS' 'folder of the trained models ($(CHECKPOINTS))' \
	  'EXPORTS' 'folder of the exported models ($(EXPORTS))' \
	  'ARGS' 'further arguments of the program ($(ARGS))' \
	  'PYTEST_ARGS' 'arguments of pytest, such as -x ($(PYTEST_ARGS))' \
	  'VENV' 'virtual environment; empty: use PYTHON as it is ($(VENV))' \
	  'PYTHON' 'Python 3.10 to 3.13 ($(PYTHON))'
