# Everything runs in a virtual environment of the project's own, made on first use. Needs Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
QUICK := --quick --starts 1 --minutes 10 --results artifacts/bench-quick

.PHONY: app test test-slow test-emulated lint format bench-models bench-quick clean

app: $(READY)  ## the explorer on http://127.0.0.1:8501
	$(BIN)/streamlit run app/main.py

test: $(READY)  ## everything but the slow tests, two files at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(READY)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-emulated: $(READY)  ## on an emulated arm64 device (x86-64 Debian 12; fetches 200 MB once)
	$(BIN)/python -m pytest -m emulated

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-models: $(READY)  ## every model through the command line
	$(BIN)/python -m benchmarks.models

bench-quick: $(READY)  ## three small networks beside all peers untuned, one also tuned; stops before 10 minutes
	$(BIN)/python -m benchmarks.networks $(QUICK)

clean:
	rm -rf $(VENV)

$(READY): requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
