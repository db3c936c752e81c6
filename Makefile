# Two commands do all the setting up: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
TEST_VENV := .venv-test
RUN := $(TEST_VENV)/bin
# one BLAS thread per test process: two processes share the cores
TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# one sentence in place of the three screens that pip would write
CHECK_PYTHON := @$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	found=`command -v $(PYTHON) >/dev/null && $(PYTHON) --version 2>&1 || echo not there`; \
	echo "Facette needs Python 3.11 or later, and $(PYTHON) is $$found." \
	"Name another one:  make $(or $(MAKECMDGOALS),demo) PYTHON=python3.11" >&2; exit 1; }

.PHONY: demo install test test-fast lint format lock screenshots clean

demo: install  ## install, then train on real faces and look around
	$(VENV)/bin/facette demo

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml requirements/demo.txt
	$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/demo.txt
	$(VENV)/bin/pip install -qq --disable-pip-version-check --no-deps --editable .
	touch $@

$(TEST_VENV)/installed: pyproject.toml requirements/dev.txt
	$(CHECK_PYTHON)
	$(PYTHON) -m venv $(TEST_VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(RUN)/pip install -qq --disable-pip-version-check --no-deps --editable .
	touch $@

test: lint  ## everything, in a virtual environment of its own
	$(TEST_ENV) $(RUN)/pytest -n 2 --dist worksteal

test-fast: $(TEST_VENV)/installed  ## the quick part: no slow tests, no browser
	$(TEST_ENV) $(RUN)/pytest -n 2 --dist worksteal -m "not slow and not browser"

lint: $(TEST_VENV)/installed
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports --no-cache

format: $(TEST_VENV)/installed  ## put the code in order
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

screenshots: $(TEST_VENV)/installed  ## take the images of the app anew (needs Chromium)
	$(RUN)/python docs/screenshots.py

lock:  ## pin all dependencies anew, with hashes (needs uv)
	uv pip compile pyproject.toml --extra demo --extra app --upgrade $(LOCK) -o requirements/demo.txt
	uv pip compile pyproject.toml --extra dev --upgrade $(LOCK) -o requirements/dev.txt
LOCK := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --quiet

clean:
	rm -rf $(VENV) $(TEST_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
