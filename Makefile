# make quickstart: the whole way on the embedded click log · make test: all checks · make bench: short measurements
# make lint · make docs · make clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find nasrec_nni search_spaces strategies examples -type f -not -name '*.pyc') setup.py README.md

.PHONY: quickstart test bench lint docs install clean

quickstart: install
	$(BIN)/nasrec quickstart --out runs/quickstart

test: install
	$(BIN)/pytest tests -n logical --maxprocesses 4 --dist loadgroup --durations=25 --durations-min=10

bench: install
	mkdir -p build/bench
	$(BIN)/python benchmarks/logs.py growing --rows 200000 --out build/bench/log.tsv
	$(BIN)/python benchmarks/prepare.py --log build/bench/log.tsv --rounds 2
	$(BIN)/python benchmarks/prepare_scaling.py --logs build/bench --rows 50000 200000 800000
	$(BIN)/python benchmarks/loader.py --rows 200000 --steps 2
	$(BIN)/python benchmarks/supernet_step.py --short
	$(BIN)/python benchmarks/products.py --short
	$(BIN)/python benchmarks/candidate.py --short
	$(BIN)/python benchmarks/retrain_step.py --short
	$(BIN)/python benchmarks/scaling.py --short
	$(BIN)/python benchmarks/budget.py --short
	$(BIN)/python benchmarks/algorithms.py --short
	$(BIN)/python benchmarks/predict.py --short

lint: install
	$(BIN)/pytest tests/test_style.py

# NO_MKDOCS_2_WARNING: an advertisement. The site needs Python 3.11 on.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "build/site/index.html (the search box works where a web server gives the pages: python3 -m http.server -d build/site)"

install: $(VENV)/installed

# NNI writes its settings on first use, without a lock: `nnictl --version` does it once, alone.
$(VENV)/dependencies: constraints.txt setup.py pyproject.toml
	$(PYTHON) -c 'import sys; (3, 10) <= sys.version_info < (3, 14) or sys.exit("Python 3.10 to 3.13 is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear $(VENV)
	rm -rf build/lib build/bdist.*
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt '.[dev]'
	$(BIN)/nnictl --version >/dev/null 2>&1
	touch $@

# Not editable: tests and runs see what a user's `pip install .` gives. A stale build folder would keep deleted files.
$(VENV)/installed: $(VENV)/dependencies $(SOURCES)
	rm -rf build/lib build/bdist.*
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
