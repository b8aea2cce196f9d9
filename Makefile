# Each target sets up what it needs, once: an environment is made again only when its lock file changes.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo daemon faults data train convert lines evaluate read classify bench test test-pi lint wheel bundle deploy lock clean
SHELL := /bin/sh

WORKSTATION := .venv/.ready
DEVICE := .venv-edge/.ready
DAEMON := .venv-daemon/.ready
# Bundles are made by any Python with pip: the workstation's where there is one, else the small one.
BUNDLER = $(if $(wildcard $(WORKSTATION)),$(WORKSTATION),$(DEVICE))
RIVALS := tflite litert onnxruntime rapidocr
LOCKS := requirements/edge.txt requirements/edge-litert.txt requirements/edge-daemon.txt requirements/train.txt

# TensorFlow's wheels end at Python 3.12. 3.11 comes first: it is the only one with both runtimes of the device.
WORKSTATION_PYTHONS = $(or $(PYTHON),python3.11 python3.12 python3)
DEVICE_PYTHONS = $(or $(PYTHON),python3.11 python3 python3.13 python3.12 python3.14)
# A lock names all that is needed, and leaves out what is declared and never loaded ([tool.uv] in pyproject.toml).
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes --only-binary=:all:

# $(call environment,FOLDER,PYTHONS,NEWEST MINOR VERSION,LOCK,WHAT IT IS): one line for people if it cannot be had.
define environment
@chosen=; for python in $(2); do \
  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $(3)))' 2>/dev/null; \
  then chosen=$$python; break; fi; \
done; \
if [ -z "$$chosen" ]; then \
  echo "$(1) needs Python 3.11 to 3.$(3), and none of these is: $(2). Name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; \
fi; \
if ! "$$chosen" -c 'import ensurepip, venv' 2>/dev/null; then \
  echo "$$chosen cannot make virtual environments. On Debian, Ubuntu and Raspberry Pi OS: sudo apt install python3-venv" >&2; exit 1; \
fi; \
echo "Setting up $(1) with $$chosen: $(5)." && \
if ! [ -x $(1)/bin/python ] || ! $(1)/bin/python -m pip --version >/dev/null 2>&1 || [ $(1) != .venv ]; \
then "$$chosen" -m venv --clear $(1); fi && \
$(1)/bin/python $(PIP_INSTALL) -r $(4) && touch $(1)/.ready
endef

help: ## Say what there is
	@echo "Edge Digits: handwritten digits, read on the device. Start with: make demo"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make read IMAGES='a.jpg folder' [SAVE=dir] [CROPS=dir] [FIELDS=form.toml] [MODEL=m.tflite]"
	@echo "  make classify IMAGES='a.png folder' [MODEL=m.tflite]    make train DATA=my-classes OUT=my-model"
	@echo "  make train [FULL=1 | QUICK=1] [SEED=0] [RESUME=1] [EPOCHS=30] [TEACHER=a.keras] [START=b.keras]"
	@echo "  make convert MODEL=best_model.h5 [INPUT_RANGE=0-255]"
	@echo "  make test PYTEST_ARGS='tests/edge -x'                    make lock [UPGRADE=1]"
	@echo "  make daemon [CONFIG=daemon.toml]                         make deploy PI=user@host [SSH='ssh -p 2222']"

demo: $(DEVICE) ## Read the sample pictures (the device's packages only, no TensorFlow)
	@.venv-edge/bin/python samples/demo.py

daemon: $(DAEMON) ## Run the service with a built-in camera, and say where its page is (CONFIG=daemon.toml: with yours)
	@.venv-daemon/bin/python -m edge daemon --config "$(or $(CONFIG),samples/daemon.toml)"

faults: $(WORKSTATION) ## Break everything around the daemon, and count what is lost: KILLS=200 SEED=7 ONLY=kill,disk
	@.venv/bin/python -m tests.daemon.faults $(if $(KILLS),--kills "$(KILLS)") $(if $(SEED),--seed "$(SEED)") \
	  $(if $(ONLY),--only "$(ONLY)") $(if $(JOBS),--jobs "$(JOBS)") $(if $(JSON),--json "$(JSON)")

data: $(WORKSTATION) ## Fetch MNIST into data/ and check it
	@.venv/bin/python -m train.data

train: $(WORKSTATION) ## Train the network: MNIST, or DATA=a folder with one folder a class, an .npz, IDX files
	@.venv/bin/python -m train $(if $(DATA),--data "$(DATA)") $(if $(FULL),--full) $(if $(QUICK),--quick) \
	  $(if $(ALONE),--alone) $(if $(SEED),--seed "$(SEED)") $(if $(RESUME),--resume) $(if $(OUT),--out "$(OUT)") \
	  $(if $(EPOCHS),--epochs "$(EPOCHS)") $(if $(TEACHER),--teacher "$(TEACHER)") $(if $(START),--start "$(START)")

convert: $(WORKSTATION) ## Quantize it for the device: models/digits.keras, or MODEL=a .keras, .h5 or SavedModel
	@.venv/bin/python -m convert $(if $(MODEL)$(OUT),"$(or $(MODEL),$(OUT)/digits.keras)") \
	  $(if $(DATA),--data "$(DATA)") $(if $(INPUT_RANGE),--input-range="$(INPUT_RANGE)") \
	  $(if $(SEED),--seed "$(SEED)") $(if $(OUT),--out "$(OUT)")

lines: $(WORKSTATION) ## Train and quantize the network that reads whole lines, an hour on two cores: QUICK=1, OUT=, RESUME=1
	@.venv/bin/python -m train.line_network $(if $(QUICK),--quick) $(if $(SEED),--seed "$(SEED)") \
	  $(if $(RESUME),--resume) $(if $(OUT),--out "$(OUT)")
	@.venv/bin/python -m convert.line_network $(if $(OUT),--out "$(OUT)")

evaluate: $(WORKSTATION) ## Read synthetic pages and photographs without writing, and say how well: JOBS=2 for two processes
	@.venv/bin/python -m train.evaluate $(if $(COUNT),--count "$(COUNT)") $(if $(JOBS),--jobs "$(JOBS)") \
	  $(if $(MODEL),--model "$(MODEL)")

# One picture may have spaces in its name.
pictures = if [ -e "$$IMAGES" ]; then set -- "$$IMAGES"; else set -- $(IMAGES); fi

read: $(DEVICE) ## Read all digits in your pictures: IMAGES='files or folders'
	@if [ -z "$$IMAGES" ]; then echo "Say which pictures: make read IMAGES='photo.jpg folder'" >&2; exit 2; fi
	@$(pictures); .venv-edge/bin/python -m edge read $(if $(MODEL),--model "$(MODEL)") \
	  $(if $(FIELDS),--fields "$(FIELDS)") $(if $(SAVE),--save "$(SAVE)") $(if $(CROPS),--crops "$(CROPS)") -- "$$@"

classify: $(DEVICE) ## Name the digit in your pictures: IMAGES='files or folders'
	@if [ -z "$$IMAGES" ]; then echo "Say which pictures: make classify IMAGES='photo.jpg folder'" >&2; exit 2; fi
	@$(pictures); .venv-edge/bin/python -m edge classify $(if $(MODEL),--model "$(MODEL)") -- "$$@"

bench: $(WORKSTATION) $(RIVALS:%=build/bench/%/.ready) ## Measure it beside what else there is, minutes; writes BENCHMARKS.md
	@nice .venv/bin/python -m train.bench

test: $(WORKSTATION) ## Run all tests
	@.venv/bin/python -m pytest $(or $(PYTEST_ARGS),-n 2)

test-pi: $(WORKSTATION) ## Try it on emulated Raspberry Pis (root, emulators, minutes; FULL=1: hours); docs/test-pi.md
	@.venv/bin/python -m tests.pi $(if $(FULL),--full) $(if $(PYTEST_ARGS),-- $(PYTEST_ARGS))

lint: $(WORKSTATION) ## Check style (ruff) and types (mypy)
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check .
	@.venv/bin/python -m mypy

wheel: $(WORKSTATION) ## Build dist/*.whl, all that a device needs
	@.venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

bundle: $(BUNDLER) ## Make dist/*.tar.gz, each with all that a Pi without internet needs: TARGETS='debian12-aarch64 ...'
	@$(dir $(BUNDLER))bin/python deploy/bundle.py $(TARGETS)

deploy: $(BUNDLER) ## Install or upgrade a Pi over ssh: PI=user@host
	@PI="$(PI)" SSH="$(SSH)" OPTIONS="$(OPTIONS)" BUNDLER=$(dir $(BUNDLER))bin/python deploy/deploy.sh

lock: $(WORKSTATION) ## Bring requirements/ in step with pyproject.toml (UPGRADE=1: to the newest allowed)
	@for lock in edge: "edge-litert:--extra litert" "edge-daemon:--extra daemon --extra gpio" \
	  "train:--extra litert --extra daemon --extra gpio --extra train --extra test --extra lint"; do \
	  echo "requirements/$${lock%%:*}.txt" && \
	  .venv/bin/python -m uv pip compile pyproject.toml $${lock#*:} --quiet --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate $(if $(UPGRADE),--upgrade) \
	    --output-file "requirements/$${lock%%:*}.txt" || exit 1; \
	done
	@# For one target each: what has no wheel there is not chosen, and no markers are left for pip to read elsewhere.
	@for lock in debian12:3.11 debian13:3.13; do \
	  echo "requirements/bundle-$${lock%%:*}.txt" && \
	  .venv/bin/python -m uv pip compile pyproject.toml --extra daemon --extra gpio --group bundle --quiet \
	    --python-platform aarch64-manylinux_2_36 --python-version "$${lock#*:}" --only-binary :all: \
	    --generate-hashes --no-header --no-annotate $(if $(UPGRADE),--upgrade) \
	    --output-file "requirements/bundle-$${lock%%:*}.txt" || exit 1; \
	done
	@for name in onnxruntime rapidocr; do \
	  echo "requirements/bench-$$name.txt" && \
	  .venv/bin/python -m uv pip compile requirements/bench-$$name.in --quiet --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate $(if $(UPGRADE),--upgrade) \
	    --output-file "requirements/bench-$$name.txt" || exit 1; \
	done

clean: ## Remove what can be made again; data/ and the committed models stay
	@rm -rf build dist .venv-edge .venv-daemon .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@rm -f models/digits-float32.tflite models/digits-float16.tflite models/digits-dynamic.tflite
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
	@# An environment that make did not make is not make's to remove.
	@if [ -e $(WORKSTATION) ]; then rm -rf .venv; fi

$(WORKSTATION): requirements/train.txt
	$(call environment,.venv,$(WORKSTATION_PYTHONS),12,$<,TensorFlow and the tools$(comma) 2 GB$(comma) a minute or two$(comma) once)

$(DEVICE): requirements/edge.txt
	$(call environment,.venv-edge,$(DEVICE_PYTHONS),99,$<,the device's packages$(comma) once)

$(DAEMON): requirements/edge-daemon.txt
	$(call environment,.venv-daemon,$(DEVICE_PYTHONS),99,$<,the device's packages and the daemon's$(comma) once)

# What `make bench` measures, each in its own environment; LiteRT under a Python that has no tflite-runtime, if there is.
build/bench/tflite/.ready: requirements/edge.txt
	$(call environment,$(@D),python3.11,11,$<,edge-digits on tflite-runtime)

build/bench/litert/.ready: requirements/edge-litert.txt
	$(call environment,$(@D),python3.13 python3.12 python3.11,99,$<,edge-digits on LiteRT)

build/bench/%/.ready: requirements/bench-%.txt
	$(call environment,$(@D),$(WORKSTATION_PYTHONS),99,$<,$*)

comma := ,
# `make classify` and `make read` ask the shell whether they were given any, so that quotes inside are its to read.
export IMAGES
