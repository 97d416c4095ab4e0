# The front door: `make` lists what can be done here. Each target does the set-up that it needs.
PYTHON ?= python3
BASE ?=
CHECK ?= --check
WORKERS ?= $(shell echo $$(($$(nproc) * 2)))# processes of pytest: tests mostly wait, for processes and containers
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
unexport PYTHONDONTWRITEBYTECODE# tests and benchmarks start thousands of processes: each would compile all that it imports

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: venv
venv: .venv/made ## Make .venv with cnflow, its extras and tools (PYTHON=python3.12 chooses the interpreter)
.venv/made: pyproject.toml constraints.txt .ci/venv
	@.ci/venv .venv $(PYTHON) --editable '.[all,dev]'

.PHONY: lock
lock: ## Write constraints.txt anew: the newest versions for development and CI (then: make test)
	@.ci/lock $(PYTHON)

.PHONY: unit-newest
unit-newest: ## Run the unit tests with the newest releases of all dependencies (on Python 3.13 where it is)
	@LATEST=1 .ci/venv .venv-newest "$$(.ci/python 3.13 $(PYTHON))" --editable '.[all,test]'
	.venv-newest/bin/pytest -q -n auto -p no:cacheprovider --ignore tests/unit/test_shape.py tests/unit

.PHONY: unit-lowest
unit-lowest: ## Run the unit tests with the lowest releases that pyproject.toml allows (on Python 3.10 where it is)
	@LOWEST=1 .ci/venv .venv-lowest "$$(.ci/python 3.10 $(PYTHON))" --editable '.[all,test]'
	.venv-lowest/bin/pytest -q -n auto -p no:cacheprovider -W ignore::DeprecationWarning --ignore tests/unit/test_shape.py tests/unit

.PHONY: newest
newest: venv ## Find which new release of a dependency breaks which tests; for a nightly job (cron: see CONTRIBUTING.md)
	@.venv/bin/python .ci/newest.py

.PHONY: lint
lint: venv ## Look at the code without running it: ruff, mypy, import-linter
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

.PHONY: check
check: lint ## Look without running services: lint, then the unit tests
	.venv/bin/pytest -q -n auto tests/unit tests/simulation

.PHONY: soak
soak: venv ## Take random walks of driver, interchange and managers in memory (WALKS=5000 FIRST=0), without processes
	@.venv/bin/python tests/simulation/walks.py --walks $(or $(WALKS),5000) --first $(or $(FIRST),0)

.PHONY: prose
prose: venv ## Count docstrings that open with a pronoun and functions named by a participle (ARGS="-v tests")
	@.venv/bin/python .ci/prose.py cnflow $(ARGS)

.PHONY: test
test: venv ## Run every test that this machine can run; builds the images where a Docker engine is
	@if images/engine.sh; then images/build.sh $(BASE); else echo "Tests that need an engine are skipped."; fi
	.venv/bin/pytest -n $(WORKERS) --dist loadgroup -m "not long" tests

.PHONY: test-long
test-long: venv ## Run the tests that `make test` leaves out for their length, before a release (with the services they need)
	.venv/bin/pytest -n $(WORKERS) --dist loadgroup -m long tests

.PHONY: test-clouds
test-clouds: venv ## Run the tests of clouds, those that `make test` leaves out, too (after tests/services/{ec2,gce}/up)
	.venv/bin/pytest -n $(WORKERS) --dist loadgroup -m "long or ec2 or gce" tests

.PHONY: test-collector
test-collector: venv ## Build a collector of OpenTelemetry (minutes, the first time) and run the tests that send traces to it
	tests/services/collector/up
	.venv/bin/pytest -n 0 -m collector tests/services/test_open_telemetry.py
.PHONY: screenshots
screenshots: venv ## Take pictures of the dashboard's pages, light, dark and on a phone, into dist/screenshots (after tests/services/chromium/up)
	CNFLOW_SCREENSHOTS=$(CURDIR)/dist/screenshots .venv/bin/pytest -n 2 --dist loadgroup -m chromium tests/services
	@ls dist/screenshots

.PHONY: test-kubernetes
test-kubernetes: venv ## Run the tests of the cluster that tests/services/kubernetes/up starts
	.venv/bin/pytest -n $(WORKERS) --dist loadgroup -m "(kubernetes or helm) and not long" tests

.PHONY: podman
podman: venv ## Run all tests of containers on Podman instead of Docker (after tests/services/podman/up)
	CNFLOW_TEST_ENGINE=podman .venv/bin/pytest -n $(WORKERS) --dist loadgroup \
	  -m "podman or rootless or (docker and not engines and not dockerd)" tests/services tests/contracts

.PHONY: test-again
test-again: venv ## Run the tests that failed in the last `make test` once more, one by one
	.venv/bin/pytest --last-failed --last-failed-no-failures none --maxfail 1 tests

.PHONY: conformance
conformance: venv ## Run the public tests of the released Parsl on cnflow (ARGS="--only threads tests/test_bash_apps")
	.venv/bin/python tests/conformance/run.py $(ARGS)

.PHONY: chaos
chaos: venv ## Run tasks under a fault each second (MINUTES=30 SEED=7 IMAGE=... PODS=... MACHINES=1), as root of networks, too; writes the table of docs/explanation/reliability.md
	@.venv/bin/python tests/chaos/run.py --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED)) \
	  $(if $(IMAGE),--image $(IMAGE)) $(if $(PODS),--pods $(PODS)) $(if $(MACHINES),--machines) $(if $(filter 0,$(shell id -u)),--network) --markdown docs/explanation/reliability.md

.PHONY: demo
demo: .venv-demo/made ## Run examples/digits.py in containers, or where no Docker engine is in processes of this machine
	@export VENV=.venv-demo; \
	if images/engine.sh; then ONLY=digits images/build.sh $(BASE); else images/digits-venv.sh; fi
	.venv-demo/bin/python examples/digits.py
.venv-demo/made: pyproject.toml constraints.txt .ci/venv
	@.ci/venv .venv-demo $(PYTHON) --editable '.[docker]'

.PHONY: base-image
base-image: ## Make cnflow-base from Debian packages, for where no registry can be reached (FORCE=1 again, SUITE=trixie)
	@images/base-image.sh

.PHONY: suites
suites: ## Make cnflow-base:trixie and cnflow-base:sid, images with Debian's newer Pythons, for tests (a minute each)
	@for suite in trixie sid; do SUITE=$$suite images/base-image.sh || exit 1; done

.PHONY: wheels
wheels: ## Record which wheels the package index has for each kind of capsule (tests/data/wheels.json)
	@.venv/bin/python .ci/wheels.py

.PHONY: launchers
launchers: ## Compile the program that starts a carried interpreter, after a change of it (apt-get install gcc-aarch64-linux-gnu)
	@cnflow/capsule/launchers/build.sh

.PHONY: chart
chart: venv ## Write what follows from helm/cnflow/values.yaml and its comments: README, schema's descriptions, names
	@.venv/bin/python .ci/chart.py

.PHONY: images
images: venv ## Build all images (BASE=python:3.12-slim chooses what they are built on)
	@images/build.sh $(BASE)

.PHONY: bench
bench: venv ## Measure cnflow beside its peers, which are installed for it (ARGS="--long --json F --plot F --only Ray")
	@.venv/bin/python -m benchmarks $(ARGS)

.PHONY: bench-short
bench-short: venv ## The same with the floor and Python's pool alone, in a minute; fails below half of an aim (CHECK= to print alone)
	@.venv/bin/python -m benchmarks --short $(CHECK) $(ARGS)

.PHONY: scale
scale: venv ## Measure one interchange with up to 10,000 simulated managers (ARGS="--tasks N --managers N ... --encrypted", or --decisions for its state alone)
	@.venv/bin/python -m benchmarks.scale $(ARGS)

.PHONY: soak-monitoring
soak-monitoring: venv ## Kill the writer, the driver and the database of recorded runs, fill the disk, and compare every row (ARGS="ROUNDS SEED")
	@.venv/bin/python -m tests.chaos.monitoring_soak $(ARGS)

.PHONY: bench-monitoring
bench-monitoring: venv ## Measure runs with and without monitoring, and compare every row of a million tasks (ARGS="--tasks N --noops N")
	@.venv/bin/python -m benchmarks.monitoring $(ARGS)

.PHONY: bench-serving
bench-serving: venv ## Measure served models beside Ray Serve, BentoML and LitServe, which are installed for it (ARGS="--only cnflow --models light --seconds N --json F")
	@.venv/bin/python -m benchmarks.serving $(ARGS)

.PHONY: soak-serving
soak-serving: venv ## Send 1,000,000 requests to a served model: none may fail, and the memory may not grow (ARGS="--requests N --callers N")
	@.venv/bin/python -m benchmarks.serving.soak $(ARGS)

.PHONY: bench-sites
bench-sites: venv ## Measure runs through ssh and Slurm, which tests/services/{slurm,sshd}/up start (ARGS="--image F.sif --tasks N")
	@.venv/bin/python -m benchmarks.sites $(ARGS)

.PHONY: bench-transfer
bench-transfer: venv ## Measure files over the tasks' connection beside TCP and rsync, as root (ARGS="--large MB --small N --tasks N")
	@.venv/bin/python -m benchmarks.transfer $(ARGS)

.PHONY: bench-dashboard
bench-dashboard: venv ## Measure the pages of the dashboard for a run of 1,000,000 tasks (ARGS="--tasks N --database F --check")
	@.venv/bin/python -m benchmarks.dashboard $(ARGS)

.PHONY: bench-kubernetes
bench-kubernetes: venv ## Measure runs in pods beside bare pods, and through the API server (ARGS="--only first --tasks N")
	@.venv/bin/python -m benchmarks.kubernetes $(ARGS)

.PHONY: slow-line
slow-line: venv ## Send an argument of MB=2000 over a line of 10 MB/s, and measure small tasks meanwhile, as root
	CNFLOW_SLOW_LINE_MB=$(or $(MB),2000) .venv/bin/pytest -s tests/faults/test_slow_line.py -k small_tasks

.PHONY: files-over-a-line
files-over-a-line: venv ## Send files of MB=1000 over a line that loses packets and is cut, both ways, as root
	CNFLOW_FILES_MB=$(or $(MB),1000) .venv/bin/pytest -s tests/faults/test_files_over_a_line.py

.PHONY: fuzz
fuzz: venv ## Send N=100000 malformed messages to interchanges and managers: they must not crash, hang or grow
	.venv/bin/python tests/fuzzing/run.py $(or $(N),100000)

.PHONY: docs
docs: venv ## Build the documentation into docs/_build
	.venv/bin/sphinx-build -q -n -W docs docs/_build

.PHONY: clean
clean: ## Remove all that make made here, .venv too; images stay in the engine
	rm -rf .venv .venv-conformance .venv-demo .venv-lowest .venv-newest examples/.venv-digits images/worker/capsule images/cnflow/wheels docs/_build dist runinfo
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
