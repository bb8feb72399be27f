# The verbs of the project. Environments are made on first use and again when the pins change.

PYTHON ?= python3
BASE   := .venv/installed
DEV    := .venv-dev/installed
TRAIN  := .venv-train/installed

.PHONY: demo test test-train lint bench bench-scale train clean

# Without a terminal nobody could stop the server, so there it prints its answers and ends.
demo: $(BASE)
	@if [ -t 0 ]; then .venv/bin/lurcher demo; else .venv/bin/lurcher demo --once; fi

test: $(DEV)
	.venv-dev/bin/python -m pytest

# What needs torch: exporting models, and the shipped model's rebuild.
test-train: $(TRAIN)
	.venv-train/bin/python -m pytest tests/training

lint: $(DEV)
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/ruff check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports
	.venv-dev/bin/hadolint Dockerfile

# DATA holds the data sets that the figures in the README were measured on.
DATA ?= ../shared/data
bench: $(TRAIN)
	.venv-train/bin/lurcher bench encoder $(DATA)/scifact
	.venv-train/bin/lurcher bench build $(DATA)/squad-open
	rm -rf build/scifact.lurcher
	.venv-train/bin/lurcher build $(DATA)/scifact build/scifact.lurcher
	.venv-train/bin/lurcher eval build/scifact.lurcher \
	    --queries $(DATA)/scifact/queries.jsonl --qrels $(DATA)/scifact/qrels/test.tsv
	.venv-train/bin/lurcher bench server build/scifact.lurcher \
	    --queries $(DATA)/scifact/queries.jsonl

# 200,000 real passages: some 15 minutes on two quiet cores.
bench-scale: $(TRAIN)
	mkdir -p build && rm -rf build/wiki.lurcher
	(cat $(DATA)/squad-open/corpus.jsonl; zcat $(DATA)/ottqa-wiki/corpus.jsonl.gz) > build/wiki.jsonl
	.venv-train/bin/lurcher build build/wiki.jsonl build/wiki.lurcher
	.venv-train/bin/lurcher inspect build/wiki.lurcher
	.venv-train/bin/lurcher bench server build/wiki.lurcher \
	    --queries $(DATA)/queries/nq-open-dev.jsonl

# Rebuild the models that ship.
train: $(TRAIN)
	.venv-train/bin/python -m training.pretrained

$(BASE): pyproject.toml constraints/base.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q -c constraints/base.txt -e .
	@touch $@

$(DEV): pyproject.toml constraints/base.txt
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/python -m pip install -q -c constraints/base.txt -e '.[dev]'
	@touch $@

$(TRAIN): pyproject.toml constraints/train.txt
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/python -m pip install -q -c constraints/train.txt torch==2.13.0
	.venv-train/bin/python -m pip install -q -c constraints/train.txt -e '.[dev,train,bench]'
	@touch $@

clean:
	rm -rf .venv .venv-dev .venv-train build
