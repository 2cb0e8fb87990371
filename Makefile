PYTHON ?= python3
BIN := .venv/bin
export MPLBACKEND := Agg

.PHONY: demo test check bench figures clean

demo: .venv/.installed
	$(BIN)/padviz usage vgg19 --size 512
	@echo "The picture is $(CURDIR)/vgg19-512-usage.png"

test: .venv/.tools
	$(BIN)/python -m pytest

check: .venv/.tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest tests/test_laws.py tests/test_cases.py
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/.venv/numba-checked $(BIN)/python -m pytest tests/test_laws.py tests/test_cases.py

bench: .venv/.tools
	mkdir -p .bench
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-json=.bench/run.json
	$(BIN)/python -m tests.benchmarks.report .bench/run.json README.md

figures: .venv/.installed
	mkdir -p docs
	$(BIN)/padviz usage vgg19 --size 512 -o docs/vgg19-512.png --overwrite
	$(BIN)/padviz usage resnet50 --size 224 -o docs/resnet50-224.png --overwrite
	$(BIN)/padviz compare vgg19 --size 512 -o docs/vgg19-schemes.png --overwrite \
		--padding zero,valid,full,reflect,symmetric,replicate,circular,partial
	$(BIN)/padviz taps resnet18 --size 224 -o docs/resnet18-taps.png --overwrite
	$(BIN)/padviz coverage vgg19 --size 224 --layer features.4 --layer features.9 --layer features.18 \
		--layer features.27 --layer features.36 -o docs/vgg19-coverage.png --overwrite

clean:
	rm -rf .venv .bench .hypothesis .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "padviz needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Install Python's venv module first: apt-get install python3-venv"; exit 1; }

.venv/.installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/.tools: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,torch]'
	touch $@
