"""``/v1/feedback`` over HTTP: what is answered is on the disk, is known to searches, and counts once."""

from __future__ import annotations

from pathlib import Path

from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.records import Pair, Submission
from tests.server.feedback.giving import (
    CAT,
    PATH,
    TRAIN,
    Recorder,
    counted,
    give,
    judged,
    pair,
    remove,
)
from tests.server.serving import Client, assert_problem, running, settings


def test_what_was_accepted_is_on_the_disk_and_known_to_searches(
    client: Client, log: Path, recorder: Recorder
) -> None:
    reply = give(client, pair(), pair(passage=TRAIN, weight=2.5), key="mine", bundle="small")
    assert reply.status == 200
    assert reply.json() == {"accepted": 2, "refused": [], "held_back": 0, "key": "mine"}
    assert judged(log) == [("a sleepy pet", CAT, 1.0), ("a sleepy pet", TRAIN, 2.5)]
    (given,) = read_log(log).submissions
    assert given.client == "address:127.0.0.1"
    assert given.time > 1e9
    assert [(c.query, c.weight) for c in recorder.learnt] == [
        ("a sleepy pet", 1.0),
        ("a sleepy pet", 2.5),
    ]
    counts = client.get(PATH).json()
    assert counts == {
        "pairs": 2, "held_back": 0, "most_pairs": 8, "judgements": 2, "sequence": 1,
        "log": read_log(log).id,
        "log_bytes": log.stat().st_size + log.with_name("feedback.log-wal").stat().st_size,
    }  # fmt: skip


def test_a_search_after_the_reply_finds_what_it_taught(client: Client) -> None:
    # No word of the query is in the passage, and it is far from first without being taught.
    query, passage = "quarterly revenue forecast", "de-food-1"
    before = [hit["id"] for hit in client.search(query, top_k=5).json()["hits"]]
    assert passage not in before
    assert give(client, pair(query, passage), key="k").json()["accepted"] == 1
    after = [hit["id"] for hit in client.search(query, top_k=5).json()["hits"]]
    assert after[0] == passage
    assert remove(client, "keys=k").json() == {"removed": 1}
    assert [hit["id"] for hit in client.search(query, top_k=5).json()["hits"]] == before


def test_a_request_sent_again_counts_once_and_is_answered_the_same(
    client: Client, log: Path
) -> None:
    asked = [pair(), pair(passage="no such")]
    first = give(client, *asked, key="k")
    assert give(client, *asked, key="k").body == first.body
    assert read_log(log).sequence == 1
    assert client.metric('lurcher_feedback_pairs_total{outcome="accepted"}') == 1
    problem = assert_problem(give(client, pair(), key="k"), 422)
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert give(client, *asked).json()["key"] != give(client, *asked).json()["key"]
    assert read_log(log).sequence == 3


def test_a_server_that_starts_again_knows_what_it_was_told(
    small_bundle: Path, log: Path, recorder: Recorder
) -> None:
    wanted = settings(small_bundle, feedback=log, feedback_client_weight=2.0)
    with running(wanted, recorder.snapshot) as client:
        first = give(client, pair(), pair(), pair(), pair("other", TRAIN, weight=0.1), key="k")
        give(client, pair("taken back"), key="gone")
        assert remove(client, "keys=gone").json() == {"removed": 1}
        counts = counted(client)
    weights = {(c.query, c.passage): c.weight for c in recorder.learnt}
    recorder.learnt = []
    with running(wanted, recorder.snapshot) as client:
        assert {(c.query, c.passage): c.weight for c in recorder.learnt} == {
            key: weight for key, weight in weights.items() if weight
        }
        assert sorted(c.weight for c in recorder.learnt) == [0.1, 2.0]
        assert counted(client) == counts
        again = give(client, pair(), pair(), pair(), pair("other", TRAIN, weight=0.1), key="k")
        assert again.body == first.body
        assert counted(client) == counts


def test_judgements_of_passages_that_the_bundle_lacks_stay_in_the_log(
    small_bundle: Path, log: Path, recorder: Recorder
) -> None:
    opened, _ = FeedbackLog.open(log)
    opened.append([Submission("c", 1.0, "k", (Pair("q", "gone", 1.0), Pair("q", CAT, 1.0)))])
    opened.close()
    with running(settings(small_bundle, feedback=log), recorder.snapshot) as client:
        assert client.get(PATH).json()["pairs"] == 1
        assert [c.query for c in recorder.learnt] == ["q"]
    assert len(judged(log)) == 2


def test_removal_by_key_and_by_time(client: Client, log: Path, recorder: Recorder) -> None:
    for key in ("a", "b", "c"):
        give(client, pair(f"query {key}"), pair(f"query {key}", TRAIN), key=key)
    recorder.learnt = []
    assert remove(client, "keys=a&keys=c&keys=unknown").json() == {"removed": 4}
    assert sorted({c.query for c in recorder.learnt}) == ["query a", "query c"]
    assert {c.weight for c in recorder.learnt} == {0.0}
    assert [query for query, _, _ in judged(log)] == ["query b"] * 2
    assert remove(client, "before=2001-09-09T01:46:40Z").json() == {"removed": 0}
    assert remove(client, "before=1e11").json() == {"removed": 2}
    assert judged(log) == []
    assert client.get(PATH).json()["pairs"] == 0
    assert client.metric("lurcher_learnt_pairs") == 0
    assert give(client, pair("another"), key="a").status == 200  # the key is free again
