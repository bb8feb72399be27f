"""Clicks add up to known queries in whatever order they come, and one that is shipped twice counts once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import CorpusError
from lurcher.index_builder.judged import Known, merge, read_clicks
from lurcher.text import normalised


def written(folder: Path, clicks: list[dict[str, Any]]) -> Path:
    path = folder / "clicks.jsonl"
    path.write_text("".join(f"{json.dumps(click)}\n" for click in clicks))
    return path


def by_text(known: list[Known]) -> dict[str, tuple[str, dict[str, float]]]:
    return {normalised(one.text): (one.id, one.labels) for one in known}


clicks = st.fixed_dictionaries(
    {
        "query": st.sampled_from(["cat", " CAT", "the  cat", "The Cat", "dog"]),
        "passage": st.sampled_from(["p", "q", 7]),
    },
    optional={
        "weight": st.sampled_from([0, 0.25, 1, 2.0]),  # whose sums are exact in any order
        "time": st.sampled_from(
            [0, 1_700_000_000, 1_700_000_000.5, "2023-11-14T22:13:20Z", "2023-11-14T22:13:20"]
        ),
        "client": st.sampled_from(["a", "b", None]),
        "agent": st.just("passed over"),
    },
)
logs = st.lists(clicks, max_size=12).map(
    lambda log: [*log, {"query": "there is", "passage": "always one"}]
)


def seconds(time: Any) -> float:
    return 1_700_000_000 if isinstance(time, str) else time


def twin(log: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The labels of each normalised text, by the plain meaning of the words."""
    counted: list[Any] = []
    labels: dict[str, dict[str, float]] = {}
    for click in log:
        key, passage = normalised(click["query"]), str(click["passage"])
        weight, time = click.get("weight", 1), click.get("time")
        if time is not None:
            whole = (key, passage, weight, seconds(time), click.get("client"))
            if whole in counted:
                continue
            counted.append(whole)
        if weight:
            of_query = labels.setdefault(key, {})
            of_query[passage] = of_query.get(passage, 0) + weight
    return labels


@given(logs, st.randoms(use_true_random=False))
def test_clicks_add_up_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, log: list[dict[str, Any]], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("clicks")
    found = by_text(read_clicks([written(folder, log)]))
    assert {text: labels for text, (_, labels) in found.items()} == twin(log)
    random.shuffle(log)
    assert by_text(read_clicks([written(folder, log)])) == found


@given(logs)
def test_a_log_of_timed_clicks_that_is_shipped_twice_counts_once(
    tmp_path_factory: pytest.TempPathFactory, log: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("clicks")
    timed = [{"time": place, **click} for place, click in enumerate(log)]
    once = read_clicks([written(folder, timed)])
    assert read_clicks([written(folder, timed + timed)]) == once


def test_clicks_without_a_time_all_count(tmp_path: Path) -> None:
    click = {"query": "cat", "passage": "p", "client": "a"}
    (known,) = read_clicks([written(tmp_path, [click, click, {**click, "time": None}])])
    assert known.labels == {"p": 3.0}


def test_a_query_is_spelt_as_it_first_was_and_names_its_log(tmp_path: Path) -> None:
    log = [{"query": "The Cat", "passage": "p"}, {"query": "the cat ", "passage": 7, "weight": 2}]
    (known,) = read_clicks([written(tmp_path, log)])
    assert known.id.startswith("clicks:")
    assert (known.text, known.labels) == ("The Cat", {"p": 1.0, "7": 2.0})
    assert known.source == "clicks.jsonl"


def test_a_later_log_replaces_what_an_earlier_one_said_of_a_query(tmp_path: Path) -> None:
    old = read_clicks([written(tmp_path, [{"query": "cat", "passage": "p", "weight": 5}])])
    log = [{"query": "CAT", "passage": "p", "weight": 6}, {"query": "dog", "passage": "q"}]
    new = read_clicks([written(tmp_path, log)])
    assert merge(old, new) == new


def test_logs_given_together_add_up_and_what_is_in_both_counts_once(tmp_path: Path) -> None:
    shipped_twice = {"query": "cat", "passage": "p", "time": 7}
    (tmp_path / "b").mkdir()
    monday = written(tmp_path, [shipped_twice, {"query": "cat", "passage": "p"}])
    tuesday = written(tmp_path / "b", [shipped_twice, {"query": "Cat", "passage": "q"}])
    (known,) = read_clicks([monday, tuesday])
    assert known.labels == {"p": 2.0, "q": 1.0}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0, "1970-01-01"),
        (1.5, "1970-01-01T00:00:01.5Z"),
        ("2024-02-03T04:05:06+02:00", "2024-02-03T02:05:06"),
        ("0001-01-01T00:00:00+23:00", "0001-01-01T00:00:00+23:00"),
        (253_402_300_799, "9999-12-31T23:59:59"),
    ],
)
def test_one_time_may_be_written_in_several_ways(tmp_path: Path, one: Any, other: Any) -> None:
    click = {"query": "cat", "passage": "p"}
    (known,) = read_clicks([written(tmp_path, [{**click, "time": one}, {**click, "time": other}])])
    assert known.labels == {"p": 1.0}


def test_one_click_may_be_spelt_in_two_ways(tmp_path: Path) -> None:
    click = {"passage": "p", "time": 0}
    log = [{**click, "query": "The Cat"}, {**click, "query": "the  cat"}]
    (known,) = read_clicks([written(tmp_path, log)])
    assert known.labels == {"p": 1.0}


GOOD = '{"query": "cat", "passage": "p"}'


@pytest.mark.parametrize("zipped", [False, True])
def test_a_mark_blank_lines_and_gzip_may_be_there(tmp_path: Path, zipped: bool) -> None:
    content = f"\ufeff{GOOD}\r\n\n  \n{GOOD}".encode()
    path = tmp_path / "clicks.jsonl"
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert [known.labels for known in read_clicks([path])] == [{"p": 2.0}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ('{"passage": "p"}', "query: must be a string that is not blank"),
        ('{"query": " ", "passage": "p"}', "query: must be a string that is not blank"),
        (r'{"query": "\u200b", "passage": "p"}', "query: must be a string that is not blank"),
        ('{"query": "\\ud800", "passage": "p"}', "query: holds a lone surrogate"),
        ('{"query": "cat"}', "passage: must be a string that is not blank"),
        ('{"query": "cat", "passage": true}', "passage: must be a string that is not blank"),
        ('{"query": "cat", "passage": 1.5}', "passage: must be a string that is not blank"),
        ('{"query": "cat", "passage": "\\ud800"}', "passage: holds a lone surrogate"),
        ('{"query": "cat", "passage": "p", "weight": null}', "weight: must be a number"),
        ('{"query": "cat", "passage": "p", "weight": "1"}', "weight: must be a number"),
        ('{"query": "cat", "passage": "p", "weight": true}', "weight: must be a number"),
        ('{"query": "cat", "passage": "p", "weight": -1}', "weight: -1 is not from 0"),
        ('{"query": "cat", "passage": "p", "weight": NaN}', "weight: nan is not from 0"),
        (f'{{"query": "cat", "passage": "p", "weight": {10**400}}}', "weight: 1000"),
        ('{"query": "cat", "passage": "p", "time": "noon"}', "time: 'noon' is not ISO 8601"),
        ('{"query": "cat", "passage": "p", "time": "2024-13-01"}', "time: '2024-13-01' is not"),
        ('{"query": "cat", "passage": "p", "time": true}', "time: must be seconds since 1970"),
        ('{"query": "cat", "passage": "p", "time": NaN}', "time: is after the year 9999"),
        ('{"query": "cat", "passage": "p", "time": 1700000000000}', "time: is after the year 9999"),
        ('{"query": "cat", "passage": "p", "client": 1}', "client: must be a string"),
        ('{"query": "cat", "passage": "p", "client": "\\ud800"}', "client: holds a lone"),
    ],
)
def test_a_bad_line_is_an_error_with_its_number_and_field(
    tmp_path: Path, line: str, reason: str
) -> None:
    path = tmp_path / "clicks.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n")
    with pytest.raises(CorpusError) as caught:
        read_clicks([path])
    assert (caught.value.file, caught.value.line) == (path, 3)
    assert caught.value.reason.startswith(reason)


def test_bytes_that_are_no_text_are_an_error_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "clicks.jsonl"
    path.write_bytes(GOOD.encode() + b'\n{"query": "\xff", "passage": "p"}\n')
    with pytest.raises(CorpusError, match=r"clicks\.jsonl, line 2: not valid UTF-8"):
        read_clicks([path])


@given(st.binary(max_size=60) | st.text(max_size=40).map(json.dumps).map(str.encode))
def test_whatever_a_line_holds_the_error_names_it(
    tmp_path_factory: pytest.TempPathFactory, line: bytes
) -> None:
    path = tmp_path_factory.mktemp("clicks") / "clicks.jsonl"
    line = line.replace(b"\n", b" ")
    path.write_bytes(GOOD.encode() + b"\n" + line + b"\n")
    place = 2  # a good line has no fault to name, and a blank one is passed over
    try:
        read_clicks([path])
    except CorpusError as error:
        place = error.line or 0
    assert place == 2


@pytest.mark.parametrize("content", ["", "\n\n", '{"query": "cat", "passage": "p", "weight": 0}\n'])
def test_a_log_without_a_weight_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "clicks.jsonl"
    path.write_text(content)
    with pytest.raises(CorpusError, match=r"clicks\.jsonl: no click with a weight above 0"):
        read_clicks([path])


def test_a_missing_file_and_a_cut_gzip_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere\.jsonl: cannot be read"):
        read_clicks([tmp_path / "nowhere.jsonl"])
    path = tmp_path / "clicks.jsonl.gz"
    path.write_bytes(gzip.compress(f"{GOOD}\n".encode() * 500)[:-20])
    with pytest.raises(CorpusError, match=r"clicks\.jsonl\.gz: broken gzip"):
        read_clicks([path])
