"""The lexical index against a dictionary of postings; order, filters, the cut of long queries, torn files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.lexical_files import (
    LexicalSettings,
    LexicalWriter,
    describe_lexical,
    lexical_files,
)
from lurcher.bundle.lexical_index import NAME_SHARE, LexicalIndex
from lurcher.errors import BundleCorrupt, BundleVersionError
from lurcher.index_builder.lexical_runs import RunWriter, merge_runs
from lurcher.models.lexical.analyser import ANALYSER_VERSION, Terms
from lurcher.models.lexical.bm25 import length_norms

SEGMENT = "segment"
K1, B, TITLE_WEIGHT = 1.2, 0.75, 2.0
Text = tuple[Terms, Terms]  # of a passage and of its heading


def plain(*texts: str) -> list[Text]:
    """Passages of these words, without headings."""
    return [(Terms(text.split(), []), Terms([], [])) for text in texts]


def write(
    folder: Path, passages: Sequence[Text], run_postings: int = 1_000, at_once: int = 1_000
) -> LexicalSettings:
    """Write the index of ``passages`` below ``folder``; what a manifest says of it."""
    runs, segment = folder / "runs", folder / SEGMENT
    runs.mkdir()
    segment.mkdir()
    collected = RunWriter(runs, TITLE_WEIGHT, run_postings)
    for text, heading in passages:
        collected.add(text, heading)
    collected.flush()
    lengths = np.frombuffer(collected.lengths, np.float32)
    average = float(lengths.mean()) if len(lengths) else 0.0
    with LexicalWriter(segment, len(passages)) as writer:
        merge_runs(runs, collected.runs, length_norms(lengths, average, K1, B), writer, at_once)
    return describe_lexical(folder, SEGMENT, "none", len(passages), average, K1, B, TITLE_WEIGHT)


@pytest.fixture
def index(tmp_path: Path) -> Callable[..., LexicalIndex]:
    """A function that writes and opens the index of passages of these words."""

    def opened(*texts: str) -> LexicalIndex:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return LexicalIndex.open(folder, SEGMENT, write(folder, plain(*texts)), len(texts))

    return opened


def reference(passages: Sequence[Text], query: Sequence[str]) -> list[float]:
    """The score of each passage, by dictionaries and without steps."""
    counted, lengths = [], []
    for text, heading in passages:
        counts = Counter({t: float(n) for t, n in Counter(text.words + text.extra).items()})
        for term in heading.words + heading.extra:
            counts[term] += TITLE_WEIGHT
        counted.append(counts)
        lengths.append(len(text.words) + TITLE_WEIGHT * len(heading.words))
    average = sum(lengths) / len(lengths) or 1.0
    terms = dict.fromkeys(query)
    frequency = {t: sum(t in counts for counts in counted) for t in terms}
    idf = {
        t: math.log(1 + (len(passages) - n + 0.5) / (n + 0.5)) * (NAME_SHARE if "-" in t else 1)
        for t, n in frequency.items()
    }
    return [
        sum(
            idf[t] * counts[t] / (counts[t] + K1 * (1 - B + B * length / average))
            for t in terms
            if t in counts
        )
        / (sum(idf.values()) or 1.0)
        for counts, length in zip(counted, lengths, strict=True)
    ]


words = st.lists(st.sampled_from(["a", "b", "ba", "é", "語", "z9", "\n", "𝄞"]), max_size=12)
terms_of = st.builds(Terms, words, st.lists(st.sampled_from(["a", "a-b", "ÿ"]), max_size=2))
corpora = st.lists(st.tuples(terms_of, terms_of), min_size=1, max_size=30)


@given(
    corpora, st.lists(st.sampled_from(["a", "b", "é", "z9", "𝄞", "a-b", "none"]), max_size=6),
    st.integers(1, 20), st.integers(1, 20), st.integers(1, 35), st.data(),
)  # fmt: skip
def test_scores_are_those_of_dictionaries(
    tmp_path_factory: pytest.TempPathFactory, passages: list[Text], query: list[str],
    run_postings: int, at_once: int, k: int, data: st.DataObject,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("index")
    settings = write(folder, passages, run_postings, at_once)
    index = LexicalIndex.open(folder, SEGMENT, settings, len(passages))
    wanted, asked = np.array(reference(passages, query)), index.look_up(query)
    exact = index.scores(asked, np.arange(len(passages)))
    np.testing.assert_allclose(exact, wanted, atol=1 / 256)
    assert ((exact > 0) == (wanted > 0)).all()
    assert (exact < 1).all()

    scores, rows = index.top(asked, k)
    order = sorted((row for row in range(len(passages)) if exact[row] > 0),
                   key=lambda row: (-exact[row], row))[:k]  # fmt: skip
    assert rows.tolist() == order
    assert (scores == exact[rows]).all()

    allow = np.array(sorted(data.draw(st.sets(st.integers(0, len(passages) - 1)))), np.int64)
    scores, rows = index.top(asked, k, allow)
    allowed = set(allow.tolist())
    everything = index.top(asked, len(passages))[1].tolist()
    assert rows.tolist() == [row for row in everything if row in allowed][:k]
    assert (scores == exact[rows]).all()

    both = [
        row
        for row, (text, heading) in enumerate(passages)
        if query and {*query} <= {*text.words, *text.extra, *heading.words, *heading.extra}
    ]
    assert index.rows_with_all(query).tolist() == both


def test_runs_and_pieces_of_the_merge_change_no_byte(tmp_path: Path) -> None:
    passages = plain(*(f"w{n % 7} w{n % 11} only{n} w{n % 7}" for n in range(60)))
    written = []
    for name, sizes in {"whole": (1_000, 1_000), "pieces": (5, 9), "again": (5, 9)}.items():
        (tmp_path / name).mkdir()
        settings = write(tmp_path / name, passages, *sizes)
        files = [file.read_bytes() for file in lexical_files(tmp_path / name, SEGMENT)]
        written.append((settings, files))
    assert written[0] == written[1] == written[2]


def test_equal_scores_come_by_row(index: Callable[..., LexicalIndex]) -> None:
    opened = index(*["x y"] * 5, "x", *["y"] * 3, "x y")
    asked = opened.look_up(["x", "y"])
    assert opened.top(asked, 3)[1].tolist() == [0, 1, 2]
    assert opened.top(asked, 6)[1].tolist() == [0, 1, 2, 3, 4, 9]
    assert opened.top(asked, 3, np.array([3, 4, 6, 7, 9]))[1].tolist() == [3, 4, 9]
    swapped = opened.look_up(["y", "x"])
    assert (opened.top(swapped, 10)[0] == opened.top(asked, 10)[0]).all()


def test_a_term_that_no_passage_has_lowers_all_scores(index: Callable[..., LexicalIndex]) -> None:
    opened = index("x y", "x", "z")
    known, more = opened.look_up(["x"]), opened.look_up(["x", "unknown"])
    assert more.frequency.tolist() == [2, 0]
    assert more.read.tolist() == [0]
    ratio = opened.top(more, 2)[0] / opened.top(known, 2)[0]
    np.testing.assert_allclose(ratio, more.idf[0] / more.idf.sum(), rtol=1e-6)


def test_of_many_postings_the_rarest_terms_are_read(index: Callable[..., LexicalIndex]) -> None:
    opened = index(*["common usual"] * 50, *["common rare"] * 4)
    asked = opened.look_up(["common", "rare", "unknown", "usual", "rare"], limit=60)
    assert asked.terms == ("common", "rare", "unknown", "usual")
    assert [asked.terms[i] for i in asked.read] == ["rare", "usual"]
    assert (asked.left_out, asked.postings) == (1, 54)
    without = opened.look_up(["rare", "unknown", "usual"])
    for found, wanted in zip(opened.top(asked, 60), opened.top(without, 60), strict=True):
        assert (found == wanted).all()
    one = opened.look_up(["common", "usual"], limit=3)
    assert [one.terms[i] for i in one.read] == ["usual"]
    assert one.left_out == 1


@pytest.mark.parametrize("query", [[], ["unknown"], ["\ud800"], [""]])
def test_a_query_of_nothing_known_finds_nothing(
    index: Callable[..., LexicalIndex], query: list[str]
) -> None:
    opened = index("x y", "z")
    asked = opened.look_up(query)
    scores, rows = opened.top(asked, 5)
    assert (len(scores), len(rows)) == (0, 0)
    assert opened.scores(asked, np.array([1, 0])).tolist() == [0, 0]
    assert opened.rows_with_all(query).tolist() == []


def test_passages_without_words_make_an_index(index: Callable[..., LexicalIndex]) -> None:
    opened = index("", "")
    assert opened.settings.terms == 0
    assert opened.top(opened.look_up(["x"]), 3)[1].tolist() == []


def test_every_term_of_many_is_found(index: Callable[..., LexicalIndex]) -> None:
    """Those in memory, those between them, and none that lies before, between or after."""
    terms = [f"{n:04}" for n in range(0, 2_000, 2)]
    opened = index(*terms)
    asked = opened.look_up(terms)
    assert asked.places.tolist() == [list(range(1_000))]
    missing = opened.look_up(["", *(f"{n:04}" for n in range(1, 2_000, 2)), "0510x", "z"])
    assert set(missing.places[0].tolist()) == {-1}


def test_two_threads_find_the_same(index: Callable[..., LexicalIndex]) -> None:
    opened = index(*(f"a{n % 3} b{n % 5} c{n % 7}" for n in range(500)))
    queries = [[f"a{n % 3}", f"b{n % 5}", f"c{n % 7}"] for n in range(40)]

    def find(query: list[str]) -> tuple[list[float], list[int]]:
        scores, rows = opened.top(opened.look_up(query), 50)
        return scores.tolist(), rows.tolist()

    alone = [find(query) for query in queries]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(find, queries)) == alone


# Files that are not those of the manifest.


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_that_is_cut_short_or_too_long_is_named(
    tmp_path: Path, number: int, change: int
) -> None:
    settings = write(tmp_path, plain("x y", "y z"))
    file = lexical_files(tmp_path, SEGMENT)[number]
    whole = file.read_bytes()
    file.write_bytes(whole[:change] if change < 0 else whole + b"\0")
    with pytest.raises(BundleCorrupt, match=rf"{file.name}: .* expected .*: build the bundle"):
        LexicalIndex.open(tmp_path, SEGMENT, settings, 2)


def test_files_of_another_bundle_are_refused(tmp_path: Path) -> None:
    settings = write(tmp_path, plain("x y", "y z"))
    with pytest.raises(BundleCorrupt, match=r"is of 2 passages, the bundle has 3: build the"):
        LexicalIndex.open(tmp_path, SEGMENT, settings, 3)
    other = tmp_path / "other"
    other.mkdir()
    theirs = write(other, plain("x y", "x z"))  # as many terms and bytes, one posting elsewhere
    with pytest.raises(BundleCorrupt, match=r"lexical.idx: counts 4 postings, expected 5: build"):
        LexicalIndex.open(other, SEGMENT, theirs.model_copy(update={"postings": 5}), 2)


def test_a_row_that_is_not_there_is_an_error_and_no_hit(tmp_path: Path) -> None:
    settings = write(tmp_path, plain("x y", "y z"))
    rows = next(f for f in lexical_files(tmp_path, SEGMENT) if f.name == "lexical.rows")
    rows.write_bytes(b"\x07" * len(rows.read_bytes()))
    opened = LexicalIndex.open(tmp_path, SEGMENT, settings, 2)
    with pytest.raises(BundleCorrupt, match=r"lexical\.rows: names row 7 of 2 passages"):
        opened.top(opened.look_up(["x"]), 2)


@pytest.mark.parametrize(
    ("version", "advice"),
    [(ANALYSER_VERSION + 1, "upgrade lurcher, or build"), (ANALYSER_VERSION + 9, "upgrade")],
)
def test_terms_of_another_analyser_are_refused(tmp_path: Path, version: int, advice: str) -> None:
    settings = write(tmp_path, plain("x")).model_copy(update={"analyser": version})
    with pytest.raises(
        BundleVersionError, match=rf"lexical\.terms: .* analyser {version}.*{advice}"
    ):
        LexicalIndex.open(tmp_path, SEGMENT, settings, 1)


def test_a_folder_that_cannot_be_written_opens(tmp_path: Path) -> None:
    settings = write(tmp_path, plain("x y", "y"))
    segment = tmp_path / SEGMENT
    before = {f: f.stat().st_mtime_ns for f in segment.iterdir()}
    for file in segment.iterdir():
        file.chmod(0o444)
    segment.chmod(0o555)
    try:
        opened = LexicalIndex.open(tmp_path, SEGMENT, settings, 2)
        assert opened.top(opened.look_up(["x"]), 2)[1].tolist() == [0]
        assert {f: f.stat().st_mtime_ns for f in segment.iterdir()} == before
    finally:
        segment.chmod(0o755)
