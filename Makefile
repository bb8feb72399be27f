# The verbs of the project. Environments are made on first use and again when the pins change.

PYTHON ?= python3
BASE   := .venv/installed
DEV    := .venv-dev/installed
TRAIN  := .venv-train/installed
DEEPSPARSE := .venv-deepsparse/installed
DOCS   := .venv-docs/installed
SBOM   := .venv-sbom/installed
RAY    := .venv-ray/installed
# Environments are installed anew when the native library's sources change. It is compiled once for all of them.
NATIVE := setup.py $(wildcard build_hooks/*.py models/engines/native/src/*)
LIBRARY := models/engines/native/native_library.so
# A new environment with a newer pip than Python 3.11 brings, which takes half a minute of a core to find what to install.
VENV = $(PYTHON) -m venv $(1) && $(1)/bin/python -m pip install -q pip==26.3

.PHONY: demo test test-all test-train test-deepsparse test-ray test-ray-quick test-ray-faults test-experiments lint docs environments sbom bench bench-scale bench-students bench-hybrid bench-neighbours bench-ranker bench-reader train train-students train-ranker train-reader tune-reader clean

# Without a terminal nobody could stop the server, so there it prints its answers and ends.
demo: $(BASE)
	@if [ -t 0 ]; then .venv/bin/lurcher demo; else .venv/bin/lurcher demo --once; fi

# A process a core, so none starts threads for the others' cores; a file's tests stay together, as they share
# servers.
test test-all test-train: export OMP_NUM_THREADS = 1
PYTEST = -m pytest -n auto --dist loadfile
NIGHTLY = -m 'nightly or not nightly' --hypothesis-profile nightly

test: $(DEV)
	.venv-dev/bin/python $(PYTEST) --ignore tests/training

# The rest as well: kills at random moments, and many more examples of each property.
test-all: $(DEV) $(TRAIN)
	.venv-dev/bin/python $(PYTEST) $(NIGHTLY) --ignore tests/training
	.venv-train/bin/python $(PYTEST) $(NIGHTLY) tests/training

# What needs torch: exporting models, and the shipped model's rebuild.
test-train: $(TRAIN)
	.venv-train/bin/python $(PYTEST) tests/training

# Each experiment at a size that takes seconds; in no other suite.
test-experiments: $(TRAIN)
	.venv-train/bin/python -m pytest tests/experiments

# The optional engine, whose requirements exclude those of training (Linux, Python 3.11).
test-deepsparse: $(DEEPSPARSE)
	.venv-deepsparse/bin/python -m pytest tests/deepsparse tests/models/test_engines.py

# A cluster of two shards on a Ray of this machine: some three minutes. Elsewhere these tests skip and say why.
test-ray: $(RAY)
	OMP_NUM_THREADS=1 .venv-ray/bin/python -m pytest tests/cluster

# Of these, what tells in half a minute that a cluster is built and served on Ray: a part of .ci/run.
test-ray-quick: $(RAY)
	OMP_NUM_THREADS=1 .venv-ray/bin/python -m pytest -m quick tests/cluster/test_on_ray.py

# A cluster on three nodes whose processes are killed under load, each kind KILLS times: a minute for each time.
KILLS ?= 20
test-ray-faults: $(RAY)
	OMP_NUM_THREADS=1 KILLS=$(KILLS) .venv-ray/bin/python -m pytest -s -m nightly tests/cluster/test_killed_processes.py

lint: $(DEV)
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/ruff check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports
	.venv-dev/bin/hadolint Dockerfile

environments: $(DEV) $(TRAIN) $(RAY)

# The documentation as a site, in build/site; a dead link, or anything loaded from another host, is an error.
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(DOCS)
	.venv-docs/bin/mkdocs build

# What `pip install lurcher` brings, with versions and licences, as CycloneDX has it.
sbom: $(BASE) $(SBOM)
	mkdir -p build
	.venv-sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	    -o build/lurcher.cdx.json .venv/bin/python

# DATA holds the data sets that the figures in the README were measured on.
DATA ?= ../shared/data
bench: $(TRAIN) build/scifact.lurcher
	.venv-train/bin/lurcher bench encoder $(DATA)/scifact
	.venv-train/bin/lurcher bench build $(DATA)/squad-open
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

# Quality kept and speed of the students that ship, against the dense encoder.
bench-students: $(TRAIN) build/scifact.lurcher build/squad-open.lurcher
	.venv-train/bin/lurcher bench students models/pretrained/all-MiniLM-L6-v2/students/*/ \
	    --bundles build --data $(DATA)

# What lexical retrieval adds to dense, in quality and in time, and whether identifiers are found.
HYBRID = scifact nfcorpus squad-open cranfield
bench-hybrid: $(TRAIN) $(HYBRID:%=build/%.lurcher)
	.venv-train/bin/lurcher bench hybrid $(foreach s,$(HYBRID),$(DATA)/$s=build/$s.lurcher)
	.venv-train/bin/lurcher bench identifiers build/scifact.lurcher build/nfcorpus.lurcher

# What known queries cost a search, and what learning from feedback costs those who search.
build/known.lurcher: build/squad-open.lurcher
	.venv-train/bin/lurcher adapt $< --queries $(DATA)/squad-open/queries.jsonl \
	    --qrels $(DATA)/squad-pefa/qrels/known.tsv --out $@
bench-neighbours: build/known.lurcher
	.venv-train/bin/lurcher bench neighbours $< --queries $(DATA)/squad-open/queries.jsonl
	.venv-train/bin/lurcher bench neighbours $< --queries $(DATA)/squad-open/queries.jsonl \
	    --passages 200000
	.venv-train/bin/lurcher bench feedback build/squad-open.lurcher \
	    --queries $(DATA)/squad-open/queries.jsonl --qrels $(DATA)/squad-pefa/qrels/known.tsv

# The rank stage beside a cross-encoder, whose weights make no difference to its time: some 6 minutes.
# One thread of OpenBLAS, as the server has it.
bench-ranker: $(TRAIN) build/answers.lurcher
	OPENBLAS_NUM_THREADS=1 .venv-train/bin/lurcher bench ranker build/answers.lurcher \
	    --queries $(DATA)/squad-open/queries.jsonl --qrels $(DATA)/squad-open/qrels/test.tsv

# The sets that checkpoints are chosen by.
CHOSEN_BY = $(patsubst %,build/%.lurcher,squad-open nfcorpus scifact cisi cosqa wikiqa)

# The ablations behind a decision, by hand: make experiment-ablation, -decoder, -pefa, -tokens or -deepsparse;
# docs/ says what each found and how long it takes.
experiment-%: $(TRAIN) $(CHOSEN_BY)
	.venv-train/bin/python -m experiments.$* --bundles build --data $(DATA)
build/whole.lurcher: | $(TRAIN)
	.venv-train/bin/lurcher build $(DATA)/squad-open $@ --keep-ratio 1
build/layer-%.lurcher: | $(TRAIN)
	rm -rf build/layer-$* && .venv-train/bin/python -m experiments.token_layers $* build/layer-$*
	.venv-train/bin/lurcher build $(DATA)/squad-open $@ --encoder build/layer-$*
experiment-decoder: $(addprefix build/,whole.lurcher untrained.lurcher layer-4.lurcher layer-5.lurcher)
experiment-deepsparse: $(TRAIN) $(DEEPSPARSE)
	.venv-train/bin/python -m experiments.deepsparse_graphs build/deepsparse
	.venv-deepsparse/bin/python -m experiments.deepsparse_engine build/deepsparse

build/%.lurcher: | $(TRAIN)
	mkdir -p build
	.venv-train/bin/lurcher build $(DATA)/$* $@

# Rebuild the encoder that ships, byte for byte.
train: $(TRAIN)
	.venv-train/bin/python -m lurcher.training.pretrained

# Train the students that ship: hours on two cores, and on another machine not the same bytes.
STUDENTS ?= fast balanced sparse
train-students: $(TRAIN) $(CHOSEN_BY)
	for name in $(STUDENTS); do .venv-train/bin/python -m lurcher.training.students $$name \
	    --bundles build --data $(DATA) || exit; done

# Train the projection to 1-bit tokens and the decoder that ship: half an hour on two cores, most of it reading
# the passages twice.
SQUAD = --queries $(DATA)/squad-open/queries.jsonl --qrels $(DATA)/squad-open/qrels/train.tsv \
    --dev-queries $(DATA)/squad-open/queries.jsonl --dev-qrels $(DATA)/squad-open/qrels/dev.tsv
build/untrained: | $(TRAIN)
	mkdir -p build && cp -r models/pretrained/all-MiniLM-L6-v2 $@ && rm -r $@/projection.npz $@/ranker
build/untrained.lurcher: build/untrained
	.venv-train/bin/lurcher build $(DATA)/squad-open $@ --encoder $<
train-ranker: $(TRAIN) build/untrained.lurcher build/squad-open.lurcher
	.venv-train/bin/lurcher train tokens build/untrained.lurcher $(SQUAD) --out build/projection.npz
	.venv-train/bin/lurcher train ranker build/squad-open.lurcher $(SQUAD) --out build/ranker

# A bundle to train a reader on, and the reader that ships: an hour on one core with bfloat16.
build/answers.lurcher: $(TRAIN)
	.venv-train/bin/lurcher build $(DATA)/squad-open $@ --answers --answer-bits 128
train-reader: $(TRAIN) build/answers.lurcher
	OMP_NUM_THREADS=1 .venv-train/bin/lurcher train reader build/answers.lurcher $(SQUAD) --out build/reader \
	    --steps 5000 --name all-MiniLM-L6-v2-squad

# The same trained on, on questions of other kinds over 200,000 passages: hours on a laptop.
build/wiki.lurcher: $(TRAIN)
	mkdir -p build/wiki
	(cat $(DATA)/squad-open/corpus.jsonl; zcat $(DATA)/ottqa-wiki/corpus.jsonl.gz) > build/wiki/corpus.jsonl
	.venv-train/bin/lurcher build build/wiki $@ --answers --answer-bits 128
tune-reader: $(TRAIN) build/wiki.lurcher
	OMP_NUM_THREADS=1 .venv-train/bin/lurcher train tune-reader build/wiki.lurcher --out build/reader-tuned \
	    --questions $(DATA)/queries/nq-open-train-subset.jsonl --questions $(DATA)/queries/dpr-triviaqa-test.jsonl \
	    --questions $(DATA)/squad-open/queries.jsonl,$(DATA)/squad-open/qrels/train.tsv \
	    --held $(DATA)/queries/nq-open-dev.jsonl --held $(DATA)/queries/dpr-triviaqa-dev.jsonl \
	    --held $(DATA)/squad-open/queries.jsonl,$(DATA)/squad-open/qrels/dev.tsv \
	    --held $(DATA)/queries/webquestions-train.jsonl --name all-MiniLM-L6-v2-questions

# What it answers, on gold paragraphs and from all passages, and how fast it reads beside a reader of the
# same size that nothing was computed for before; that one has to be trained first, an hour on one core.
YARDSTICK := $(DATA)/squad-open --out build/undecomposed
build/undecomposed: $(TRAIN) build/answers.lurcher
	OMP_NUM_THREADS=1 .venv-train/bin/python -m lurcher.benchmarks.baselines.undecomposed train build/answers.lurcher $(YARDSTICK)
	.venv-train/bin/python -m lurcher.benchmarks.baselines.undecomposed export build/answers.lurcher $(YARDSTICK)
bench-reader: $(TRAIN) build/answers.lurcher build/undecomposed
	.venv-train/bin/lurcher bench gold build/answers.lurcher --queries $(DATA)/squad-open/queries.jsonl \
	    --qrels $(DATA)/squad-open/qrels/test.tsv
	.venv-train/bin/python -m lurcher.benchmarks.baselines.undecomposed score build/answers.lurcher $(YARDSTICK) --split test
	.venv-train/bin/lurcher eval build/answers.lurcher --queries $(DATA)/squad-open/queries.jsonl \
	    --qrels $(DATA)/squad-open/qrels/test.tsv --answers --min-score 0
	OPENBLAS_NUM_THREADS=1 .venv-train/bin/lurcher bench reader build/answers.lurcher --yardstick build/undecomposed \
	    --queries $(DATA)/squad-open/queries.jsonl --qrels $(DATA)/squad-open/qrels/test.tsv

# Where there is no C compiler, the first installation asks the package index for one.
$(LIBRARY): $(NATIVE)
	-$(PYTHON) build_hooks/native_library.py

$(BASE): pyproject.toml constraints/base.txt $(NATIVE) | $(LIBRARY)
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q -c constraints/base.txt -e .
	@touch $@

$(DEV): pyproject.toml constraints/base.txt $(NATIVE) | $(LIBRARY)
	$(call VENV,.venv-dev)
	.venv-dev/bin/python -m pip install -q -c constraints/base.txt -e '.[dev]'
	@touch $@

# In an environment of its own, so that it does not list itself.
$(SBOM):
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/python -m pip install -q cyclonedx-bom==7.5.0
	@touch $@

$(TRAIN): pyproject.toml constraints/train.txt $(NATIVE) | $(LIBRARY)
	$(call VENV,.venv-train)
	.venv-train/bin/python -m pip install -q -c constraints/train.txt torch==2.13.0
	.venv-train/bin/python -m pip install -q -c constraints/train.txt -e '.[test,train,bench]'
	@touch $@

# Elsewhere the extra is empty: better to fail here than to skip every test.
$(DEEPSPARSE): pyproject.toml constraints/deepsparse.txt $(NATIVE) | $(LIBRARY)
	$(PYTHON) -m venv .venv-deepsparse
	.venv-deepsparse/bin/python -m pip install -q -c constraints/deepsparse.txt -e '.[deepsparse]' pytest
	.venv-deepsparse/bin/python -m pip show -q deepsparse
	@touch $@

$(DOCS): constraints/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install -q -r constraints/docs.txt
	@touch $@

$(RAY): pyproject.toml constraints/base.txt $(NATIVE) | $(LIBRARY)
	$(call VENV,.venv-ray)
	.venv-ray/bin/python -m pip install -q -c constraints/base.txt -e '.[test,client,ray]'
	@touch $@

clean:
	rm -rf .venv .venv-dev .venv-train .venv-deepsparse .venv-docs .venv-ray build
