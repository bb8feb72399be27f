"""The stages of a build, in order; ``STAGES`` says what each reads, writes and depends on.

To add one, write a module with its ``run`` and, unless it is cheap, its ``depends_on``, and list it here.
"""

from __future__ import annotations

from pathlib import Path

from lurcher.bundle.bundle import ALIKE, COPIES, PASSAGES, SEGMENT, VECTORS
from lurcher.bundle.lexical_files import lexical_files
from lurcher.bundle.reading_store import READING_CODER, reading_files
from lurcher.bundle.state_codecs import SIGNS
from lurcher.bundle.state_store import state_files
from lurcher.bundle.token_store import CODER, token_files
from lurcher.index_builder.stage import Stage
from lurcher.index_builder.stages import (
    build_index,
    choose_preset,
    copy_models,
    encode_passages,
    encode_states,
    find_copies,
    fit_reading_coder,
    fit_token_coder,
    index_terms,
    measure_gain,
    store_passages,
    tune_search,
)
from lurcher.index_builder.workspace import BUNDLE, SCRATCH

__all__ = ["STAGES"]

_bundle = Path(BUNDLE)
_database = f"{BUNDLE}/{PASSAGES}"

STAGES = (
    Stage(
        "passages", (), (_database, f"{_database}-wal", f"{_database}-shm"),
        store_passages.run, store_passages.depends_on,
    ),
    Stage("judgements", ("passages",), (), store_passages.check_judged),
    Stage(
        "copies", ("passages",), (f"{BUNDLE}/{COPIES}", f"{BUNDLE}/{ALIKE}"), find_copies.run,
        find_copies.depends_on,
    ),
    Stage(
        "lexical", ("passages",),
        (f"{SCRATCH}/{index_terms.LEXICAL_NOTES}", *map(str, lexical_files(_bundle, SEGMENT))),
        index_terms.run, index_terms.depends_on,
    ),
    Stage(
        "token coder", ("passages",), (f"{BUNDLE}/{CODER}",),
        fit_token_coder.run, fit_token_coder.depends_on,
    ),
    Stage(
        "reading coder", ("passages", "token coder"), (f"{BUNDLE}/{READING_CODER}",),
        fit_reading_coder.run, fit_reading_coder.depends_on,
    ),
    Stage("ranker", ("token coder",), (), copy_models.copy_ranker),
    Stage("reader", (), (), copy_models.copy_reader),
    Stage(
        "vectors", ("passages", "token coder", "reading coder"),
        (
            f"{SCRATCH}/{encode_passages.VECTORS_FILE}", f"{SCRATCH}/{encode_passages.FLAGS_FILE}",
            *(map(str, [*token_files(_bundle, SEGMENT), *reading_files(_bundle, SEGMENT)])),
        ),
        encode_passages.run, encode_passages.depends_on,
    ),
    Stage(
        "index", ("vectors",), (f"{BUNDLE}/{VECTORS}",), build_index.run, build_index.depends_on
    ),
    Stage(
        "state codec", ("passages",), (f"{BUNDLE}/{SIGNS}",),
        encode_states.fit_codec, encode_states.codec_depends_on,
    ),
    Stage(
        "states", ("passages", "state codec"),
        tuple(map(str, state_files(_bundle, SEGMENT))),
        encode_states.run, encode_states.states_depend_on,
    ),
    Stage("encoder", (), (), copy_models.copy_encoders),
    Stage("search effort", ("passages", "vectors", "index", "encoder"), (), tune_search.run),
    Stage("preset", ("passages",), (), choose_preset.run),
    Stage("lexical gain", ("lexical", "search effort"), (), measure_gain.run),
)  # fmt: skip
