# BlurNet for TensorFlow. `make help` lists the targets and variables. GNU make 4.3 or newer.
# The programs know themselves which models are trained and which attacks are done: make only starts them.

# --- Variables: set them on the command line, `make blackbox DATA=rp2 SEED=1`. `help` prints what stands behind `#`. ---
DATA        ?= auto#        what to attack and train on: rp2, lisa, synthetic, folder:PATH, or auto
VARIANT     ?= all#         models to train, attack or export, a list such as baseline tv_1e-4+stickers, or all
PRESET      ?= quick#       smoke, quick or paper: how much work
MODEL       ?=#             SavedModel folder, .keras file or model of the zoo to attack
SEED        ?= 0#           seed of the attack
TARGET      ?= auto#        class that blackbox wants: a name, an index, worst, or auto
RESULTS     ?= results#     folder of the results
SEEDS       ?= $(SEED)#     seeds of the white box, a list; default: SEED
TRAIN_SEED  ?= 0#           seed of the training
TRAIN_SEEDS ?= 0 1 2#       those of controls and zoo, a list
STEPS       ?=#             steps of the attack; default: of the preset
LAMBDA      ?= 0.002#       weight of the norm of the perturbation, Eq. 2; in Python RP2(penalty=)
LAMBDAS     ?= $(if $(filter-out file,$(origin LAMBDA)),$(LAMBDA))# those of the white box, a list; default: LAMBDA if given, else of the preset
MASK        ?=#             image of the mask; default: the sticker mask of the data
NPS         ?=#             non-printability score: original or corrected; default: none
PALETTE     ?=#             printable colours, with NPS; default: the palette of the data
SUITE       ?= standard#    attacks of check, controls and zoo: quick, standard or full
IMAGES      ?= victims#     what check and curve attack: victims, or test, the held-out images
ONLY        ?=#             class whose images check and curve attack; default: all; of controls: stop
TARGETS     ?=#             classes that the white box on MODEL wants, a list; default: all others
VICTIMS     ?=#             folder of images for MODEL; default: the signs of DATA
LABEL       ?=#             class of all VICTIMS; default: labels.csv in their folder
LABELS      ?=#             class names of MODEL, a text file; default: its assets/labels.txt, else LISA
OUTPUT      ?= logits#      what MODEL gives: logits or probabilities
OUTPUT_NAME ?=#             which output of MODEL; default: the only one, or the one called like OUTPUT
SIGNATURE   ?=#             of MODEL, if it is a SavedModel; default: serving_default
SPLIT       ?= track#       of LISA: track, or random, which leaks
INIT        ?= random#      start of a training: random or rp2_release
PRECISION   ?= auto#        auto, float32 or mixed_bfloat16, to train and attack in
ENGINE      ?= local#       where to train and attack: local, processes:N, or a Dask scheduler, tcp://host:8786
RUN         ?= all#         runs of `make reproduction`, a list, or all
KILLS       ?= 20#          how often `make chaos` kills
FORMAT      ?= savedmodel#  to export beside the SavedModel: litert, onnx, a list
DATA_DIR    ?= data#        folder that `make data` fills, looked at after BLURNET_DATA
LISA_ROOT   ?=#             official download of LISA, folder or zip, for `make data`
CHECKPOINTS ?= checkpoints# folder of the trained models
EXPORTS     ?= exports#     folder of the exported models
ZOO         ?= zoo#         folder of the zoo that `make zoo` fills; BLURNET_ZOO names it to `load_model`
ARGS        ?=#             further arguments of the program, or of pytest, such as -x
VENV        ?= .venv#       virtual environment; empty: use PYTHON as it is
PYTHON      ?= python3#     Python 3.10 to 3.13
BLURNET_DATA ?=#            folder that holds rp2/ and lisa/
export BLURNET_DATA
export BLURNET_ENGINE := $(ENGINE)

# Make splits its targets at spaces: such a path would be taken for two, by `clean` as well.
$(foreach name,VENV DATA_DIR BLURNET_DATA MASK PALETTE RESULTS CHECKPOINTS EXPORTS ZOO MODEL LABELS VICTIMS,\
  $(if $(word 2,$($(name))),$(error $(name) must be a path without spaces. Received: $(name)=$($(name)))))

.DELETE_ON_ERROR .NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help blackbox whitebox check curve controls zoo figures ablation report train export reproduction bench scaling fuzz chaos data assets \
  notebook dist docs test quicktest lint format clean distclean

# --- Environment: a stamp says that it is whole; an edited setup.cfg makes a new one ---------------------------------
PY := $(if $(strip $(VENV)),$(VENV)/bin/python,$(PYTHON))
INSTALLED := $(if $(strip $(VENV)),$(VENV)/.installed$(if $(filter-out local,$(ENGINE)),-distributed))
export PYTHONPATH := $(if $(strip $(VENV)),$(PYTHONPATH),$(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH)))
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

# --- Experiments -----------------------------------------------------------------------------------------------------
# $(call option,NAME,name) is `--name "value"` where NAME= is given, and else nothing.
option = $(if $($1),--$2 "$($1)")
DATA_FLAGS := --data $(DATA) --data-dir $(DATA_DIR) --split $(SPLIT)
MACHINE_FLAGS := --precision $(PRECISION) --checkpoints $(CHECKPOINTS)
TRAIN_FLAGS := --preset $(PRESET) --train-seed $(TRAIN_SEED) --init $(INIT) $(MACHINE_FLAGS)
ROWS_FLAGS = $(DATA_FLAGS) --preset $(PRESET) $(MACHINE_FLAGS) --variant $(VARIANT) --train-seeds $(TRAIN_SEEDS) --suite $(SUITE)
ATTACK_FLAGS = $(DATA_FLAGS) $(TRAIN_FLAGS) $(call option,STEPS,steps) $(call option,MASK,mask) $(call option,NPS,nps) $(call option,PALETTE,palette)
MODEL_FLAGS := $(if $(MODEL),--model $(MODEL) --output $(OUTPUT) $(call option,SIGNATURE,signature) \
  $(call option,OUTPUT_NAME,output-name) $(call option,LABELS,labels) $(call option,VICTIMS,victims) $(call option,LABEL,label))
BLACKBOX_FLAGS = $(ATTACK_FLAGS) --target "$(TARGET)" --lambdas $(LAMBDA) --seeds $(SEED) $(ARGS)
WHITEBOX_FLAGS = $(if $(TARGETS),--targets $(TARGETS)) $(ATTACK_FLAGS) --variant $(VARIANT) --seeds $(SEEDS) $(if $(LAMBDAS),--lambdas $(LAMBDAS)) $(ARGS)
CHECK_FLAGS = $(DATA_FLAGS) $(TRAIN_FLAGS) $(MODEL_FLAGS) $(call option,MASK,mask) --variant $(VARIANT) --seeds $(SEEDS) \
  --images $(IMAGES) $(call option,ONLY,only) $(ARGS)

blackbox: $(INSTALLED)  ## Table 1: attack the baseline, transfer to its filtered versions; or attack MODEL
	@$(PY) -m experiments.blackbox $(MODEL_FLAGS) $(BLACKBOX_FLAGS) --results $(RESULTS)/$(if $(MODEL),models,blackbox)
whitebox: $(INSTALLED)  ## Table 2: train the variants, attack each through its defence; or attack MODEL
	@$(PY) -m experiments.whitebox $(MODEL_FLAGS) $(WHITEBOX_FLAGS) --results $(RESULTS)/$(if $(MODEL),models,whitebox)

check: $(INSTALLED)  ## Every kind of attack of SUITE on the trained models, or on MODEL, and what makes the figures doubtful
	@$(PY) -m experiments.check --suite $(SUITE) $(CHECK_FLAGS) --results $(RESULTS)/$(if $(MODEL),models,check)
curve: $(INSTALLED)  ## What falls to stickers of growing area, in a table and a figure
	@$(PY) -m experiments.check --curve $(CHECK_FLAGS) --results $(RESULTS)/$(if $(MODEL),models,curve)
controls: $(INSTALLED)  ## Table 3: the defences beside other trainings, with TRAIN_SEEDS, attacked as by `make check`
	@$(PY) -m experiments.controls $(ROWS_FLAGS) $(call option,ONLY,only) $(ARGS) --results $(RESULTS)/controls
zoo: $(INSTALLED)  ## Put the models of VARIANT and TRAIN_SEEDS into ZOO, rounded and measured; see docs/zoo.md
	@$(PY) -m experiments.zoo $(ROWS_FLAGS) $(ARGS) --zoo $(ZOO) --results $(RESULTS)/zoo
ablation: $(INSTALLED)  ## Section 3.1: the blur after each layer, under the attack of `make blackbox`
	@$(PY) -m experiments.ablation $(BLACKBOX_FLAGS) --results $(RESULTS)/ablation
figures: $(if $(wildcard $(RESULTS)/blackbox/run.json),$(INSTALLED),blackbox)  ## Figures 1 to 4, of what blackbox and whitebox stored
	@$(PY) -m experiments.figures --split $(SPLIT) $(TRAIN_FLAGS) $(ARGS) --results $(RESULTS)
report: $(INSTALLED)  ## All results on one page, RESULTS/report.html
	@$(PY) -m experiments.report --checkpoints $(CHECKPOINTS) $(ARGS) --results $(RESULTS)

train: $(INSTALLED)  ## Train VARIANT on LISA (if it is there) or rendered signs, into CHECKPOINTS
	@$(PY) -m experiments.train $(DATA_FLAGS) $(TRAIN_FLAGS) --variant $(VARIANT) $(ARGS)

# The model cards take their rows from the runs in RESULTS, if those are of the same weights.
export: $(and $(INSTALLED),$(if $(filter onnx,$(FORMAT)),$(VENV)/.installed-onnx,$(INSTALLED)))  ## Write VARIANT as SavedModel and .keras (and FORMAT) into EXPORTS
	@$(PY) -m experiments.export $(DATA_FLAGS) $(TRAIN_FLAGS) --variant $(VARIANT) --format $(FORMAT) $(ARGS) --results $(RESULTS) --exports $(EXPORTS)

reproduction: $(INSTALLED)  ## The runs of docs/reproduction.md: what moves the numbers of Table 2 (LISA and RP2)
	@$(PY) -m experiments.reproduction --data-dir $(DATA_DIR) $(MACHINE_FLAGS) --run $(RUN) $(ARGS) --results $(RESULTS)/reproduction

bench: $(INSTALLED)  ## Time the attack and a training step against plain ones and the machine; see docs/benchmarks.md
	@$(PY) -m experiments.bench $(ARGS) --results $(RESULTS)/bench
scaling: $(INSTALLED)  ## Simulate how the time of a full grid falls with the number of workers; see docs/scaling.md
	@$(PY) -m experiments.scaling $(ARGS) --checkpoints $(CHECKPOINTS) --results $(RESULTS)/controls
fuzz: $(and $(INSTALLED),$(VENV)/.installed-test)  ## Try damaged and hostile inputs on every entry point; see SECURITY.md
	@$(PY) -m tests.fuzz $(ARGS)
chaos: $(INSTALLED)  ## Kill the white-box sweep KILLS times at random, resume it, compare the tables
	@$(PY) -m tests.chaos --kills $(KILLS) $(ARGS) --results $(RESULTS)/chaos

data: $(INSTALLED)  ## Fetch the RP2 release into DATA_DIR, checked; with LISA_ROOT=, prepare LISA there instead
	@$(PY) -m experiments.data $(call option,LISA_ROOT,lisa-root) --data-dir $(DATA_DIR) $(ARGS)
assets: $(INSTALLED)  ## Make masks/, the palette, the pictures of rendered signs and docs/verdicts.md anew
	@BLURNET_ZOO= $(PY) -m experiments.assets $(ARGS)
notebook: $(and $(INSTALLED),$(VENV)/.installed-test)  ## Run the notebooks of examples/ and keep what they show
	@$(PY) -m experiments.notebook $(ARGS)

# --- Development -----------------------------------------------------------------------------------------------------
dist: $(and $(INSTALLED),$(VENV)/.installed-dist)  ## Build the sdist, and from it the wheel, into dist/
	$(PY) -m build --no-isolation --outdir dist
docs: $(and $(INSTALLED),$(VENV)/.installed-docs)  ## Build the documentation site, build/docs/index.html
	@$(PY) -m sphinx -q -E -W --keep-going -d build/doctrees docs build/docs && echo build/docs/index.html

IN_TWO := --numprocesses auto --maxprocesses 2 --dist loadfile --no-loadscope-reorder  # see tests/conftest.py
test: $(and $(INSTALLED),$(VENV)/.installed-test)  ## Run all tests; those on real data need BLURNET_DATA or `make data`
	$(PY) -m pytest $(IN_TWO) $(ARGS)
quicktest: $(and $(INSTALLED),$(VENV)/.installed-test)  ## The tests that take no minute: while you work
	$(PY) -m pytest $(IN_TWO) -m "not slow and not realdata" $(ARGS)

lint: $(and $(INSTALLED),$(VENV)/.installed-lint)  ## Check style (ruff) and types (mypy, strict)
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
format: $(and $(INSTALLED),$(VENV)/.installed-lint)  ## Rewrite the code in the project's style
	$(PY) -m ruff check --fix . && $(PY) -m ruff format .

clean:  ## Remove results and caches, but for the long runs of reproduction, controls and zoo; keep checkpoints, exports, data, environment
	rm -rf $(addprefix $(RESULTS)/,blackbox whitebox check curve figures ablation bench chaos models report.html) build dist \
	  .pytest_cache .mypy_cache .ruff_cache .hypothesis
distclean: clean  ## Remove the environment as well
	rm -rf $(if $(wildcard $(OURS)),$(VENV)) src/*.egg-info

help:  ## Show this text
	@printf '%s\n' 'make blackbox    runs the transfer experiment; everything it needs is made first' \
	  'make whitebox    trains the defences and attacks each with full knowledge' '' 'Targets:'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16
	@echo; echo 'Variables (default); the first seven will do for most:'
	@sed -n 's/^\([A-Z_]*\) *?= *\([^#]*\)# *\(.*\)/  \1\t\3\t(\2)/p' Makefile | expand -t 16,110 | sed 's/  *(\$$.*//; s/  *(/ (/; /^  RESULTS/G'
