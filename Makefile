# `make search` and `make test` set up everything on a fresh machine with Python 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install search test test-cluster test-wandb-online soak check format clean

install: .venv/installed

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

search: install
	$(BIN)/python search/run.py

test: install
	$(BIN)/python -m pytest

# `ray up` of three hosts made here, searches over them while hosts and driver die, and machines that come on demand: as
# root, about 15 minutes on two cores.
test-cluster: install
	$(BIN)/python -m pytest -m cluster -rs --timeout 900 tests/test_cluster_hosts.py tests/test_cluster_autoscaling.py

# A search published to the real W&B, into the project babeltune-test; needs WANDB_API_KEY, and says so.
test-wandb-online: install
	$(BIN)/python -m pytest -m online -rs tests/test_tracking.py

# Real searches under random SIGKILLs: about 10 minutes on two cores.
soak: install
	$(BIN)/python bench/soak.py

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
