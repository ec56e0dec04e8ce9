# Everything a newcomer needs is here, with no more than Python and make: `make sweep`, `make test`.
PYTHON ?= python3
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := .venv/$(SCRIPTS)
SWEEP := leftbit_hidden_size

.PHONY: help sweep results notebooks docs docs-serve test test-slow test-times test-ray test-arm fuzz faults bench bench-table bench-grid bench-sweeps ui lint format lock clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

sweep: .venv/run  ## train a first sweep; make sweep SWEEP=hidden_size takes another one of conf/sweep
	PYTHONDONTWRITEBYTECODE= $(BIN)/bptt train sweep=$(SWEEP)
	@echo
	@echo "To look at the runs: make ui"

results: .venv/ready  ## train the shipped sweeps and write docs/results from them; five and a half hours on two cores
	$(BIN)/python -m docs.make_results

notebooks: .venv/ready  ## the notebooks of analysis/ on the newest sweep, with their figures, into multirun/notebooks
	mkdir -p multirun/notebooks
	for n in analysis/*.ipynb; do $(BIN)/python -m papermill --no-progress-bar $$n multirun/notebooks/$${n##*/} || exit 1; done

docs: .venv/ready  ## the documentation, with every link and anchor checked, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

docs-serve: .venv/ready  ## the documentation on this machine, built anew at every change
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

# Bytecode of tests and sources, which is made once, whatever the environment says.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal
# By a name of its own: a line that names MAKE is run by `make --dry-run` too.
ANOTHER_MAKE := $(MAKE) --no-print-directory

MARKS := not slow

test: .venv/ready  ## linter, types and documentation, and beside them the tests but for the slow ones; make test MARKS= has all
	-$(BIN)/bptt warm
	@said=$$(mktemp); $(ANOTHER_MAKE) lint docs > $$said 2>&1 & checks=$$!; trap 'kill $$checks' INT TERM; \
	$(PYTEST) -m '$(MARKS)'; tests=$$?; \
	wait $$checks; checks=$$?; cat $$said; rm -f $$said; \
	if [ $$checks = 0 ]; then echo 'lint, docs: passed'; else echo 'lint, docs: FAILED, see above'; fi; \
	[ $$tests = 0 ] && [ $$checks = 0 ]

test-slow: .venv/ready  ## the slow tests: sweeps that die, servers, notebooks, the longest pages
	-$(BIN)/bptt warm
	$(PYTEST) -m slow

test-times: .venv/ready  ## what each file and each test takes of a processor; make test-times MARKS=slow of the slow ones
	-$(BIN)/bptt warm
	@folder=$$(mktemp -d); PYTEST_TIMES=$$folder $(PYTEST) -p tests.times -m '$(MARKS)'; $(BIN)/python -m tests.times $$folder; rm -r $$folder

test-ray: .venv/ready  ## the tests of one backend, which is large and not installed otherwise
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["ray"])' \
	  | xargs $(BIN)/python -m pip install --quiet --disable-pip-version-check
	$(BIN)/python -m pytest tests/sweeps/workers/test_clusters.py

test-arm: .venv/ready  ## the golden bits on an emulated ARM processor; as root on Debian, three minutes
	$(BIN)/python -m tests.golden.arm

MINUTES := 10

fuzz: .venv/ready  ## overrides and npz files that are nearly right, ten minutes each; make fuzz MINUTES=1 takes less
	$(BIN)/python -m tests.fuzzing --minutes $(MINUTES)

lint: .venv/ready  ## linter, formatter and type checker
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/ready  ## what the linter and the formatter can mend themselves
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

faults: .venv/ready  ## disturb real sweeps at a hundred random moments, and prove that nothing came of it; make faults ARGS=--write
	$(BIN)/python -m tests.faults $(ARGS)

bench: .venv-bench/others  ## side by side with PyTorch, JAX and plain C++, in an environment of its own; an hour
	.venv-bench/bin/python -m benchmarks --readme

bench-table: .venv-bench/others  ## README's table alone, measured again and written; twenty minutes
	.venv-bench/bin/python -m benchmarks --part table --rounds 7 --readme

bench-grid: .venv-bench/others  ## every task with every cell; goes on where it was broken off
	.venv-bench/bin/python -m benchmarks.grid

bench-sweeps: .venv-bench/others  ## whole sweeps, beside the usual way to run them
	.venv-bench/bin/python -m benchmarks.sweeps

.venv-bench/others: .venv-bench/ready
	.venv-bench/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["bench"])' \
	  | xargs .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check
	touch $@

ui: .venv/run  ## MLflow's pages for the runs of this folder
	$(BIN)/bptt ui

# An environment exactly as locked. What running needs, whose bytecode is left to the first sweep, which needs a third of
# it; then what tests, pages, notebooks and extras need beside it. Sizes were measured on Linux x86-64 with Python 3.11.
.venv/locked .venv-bench/locked: %/locked: requirements.lock requirements-dev.lock
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("Python 3.11 to 3.14 is needed: make PYTHON=python3.12")'
	@echo "Setting up an environment in $*"
	@$(PYTHON) -m venv --clear $*
	@$*/$(SCRIPTS)/python .ci/set_up.py requirements.lock "260 MB to fetch, 900 MB on the disk with bytecode"
	@touch $@

.venv/run .venv-bench/run: %/run: %/locked pyproject.toml
	@$*/$(SCRIPTS)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/ready .venv-bench/ready: %/ready: %/run
	@$*/$(SCRIPTS)/python .ci/set_up.py requirements-dev.lock "130 MB more to fetch, 750 MB more on the disk"
	@$*/$(SCRIPTS)/python -W ignore -m compileall -qq -j 0 -x '[/\\](tests|pip|setuptools|mypy|mypyc)[/\\]' $* || true
	@touch $@

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"

lock:  ## both lock files, after a change of pyproject.toml; needs uv. They name no package index, so that they serve behind any
	$(LOCK) --group dev --extra dask --extra slurm --extra optuna --extra onnx --extra sklearn --extra tensorboard --extra notebooks --extra server \
	  --output-file requirements-dev.lock pyproject.toml
	$(LOCK) --group build --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml

clean:  ## what can be made again; never what runs wrote
	rm -rf .venv .venv-bench .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
