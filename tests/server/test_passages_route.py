"""``/v1/passages`` over a socket: what is written is found, what is deleted is not, faults are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.verifying import verify
from lurcher.index_builder.edit.writer import Writer
from tests.server.serving import JSON, Client, Reply, assert_problem, running, settings


@pytest.fixture(scope="module")
def bundle(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(small_bundle, tmp_path_factory.mktemp("written") / "w.lurcher"))


@pytest.fixture(scope="module")
def client(bundle: Path) -> Iterator[Client]:
    with running(settings(bundle, writable=True, max_queries=8)) as client:
        yield client


def send(client: Client, method: str, body: Any, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, "/v1/passages", json.dumps(body).encode(), {**JSON, **named})


def put(client: Client, *records: dict[str, Any], **headers: str) -> Reply:
    return send(client, "PUT", {"records": list(records)}, **headers)


def delete(client: Client, *ids: str, **options: Any) -> Reply:
    return send(client, "DELETE", {"ids": list(ids), **options})


def ids_of(client: Client, query: str, **options: Any) -> list[str]:
    return [hit["id"] for hit in client.search(query, **options).json()["hits"]]


def test_what_is_written_is_found_and_what_is_deleted_is_not(client: Client) -> None:
    reply = put(
        client, {"id": "n1", "text": "A narwhal has one tusk", "metadata": {"sea": "arctic"}}
    )
    assert reply.status == 200, reply.body
    first = reply.json()
    assert (first["upserted"], first["added"], first["removed"]) == (1, 1, 0)
    assert ids_of(client, "narwhal tusk", top_k=1) == ["n1"]
    assert ids_of(client, "narwhal", filter={"sea": "arctic"}) == ["n1"]
    again = put(
        client, {"id": "n1", "text": "A narwhal has one tusk", "metadata": {"sea": "arctic"}}
    )
    assert (again.json()["unchanged"], again.json()["sequence"]) == (1, first["sequence"])
    gone = delete(client, "n1", "nobody").json()
    assert (gone["removed"], gone["unknown"]) == (1, ["nobody"])
    assert gone["sequence"] == first["sequence"] + 1
    assert "n1" not in ids_of(client, "narwhal tusk", top_k=60)
    assert_problem(client.get("/v1/passages/n1"), 404)


def test_a_document_that_is_replaced_loses_all_its_passages(client: Client) -> None:
    long = " ".join(f"The walrus number {i} rests on the ice." for i in range(60))
    assert put(client, {"id": "w/1", "text": long}).json()["added"] > 1
    assert client.get(f"/v1/passages/{quote('w/1#2')}").json()["document"] == "w/1"
    parts = {"id": "w/1", "passages": [{"text": "One walrus", "title": "First"}, "Two walruses"]}
    reply = put(client, parts).json()
    assert reply["added"] == 2
    assert reply["removed"] > 1
    found = client.get("/v1/documents/w/1").json()
    assert [one["id"] for one in found["passages"]] == ["w/1#1", "w/1#2"]
    assert delete(client, "w/1").json()["removed"] == 2


def test_metadata_changes_and_the_text_stays(client: Client) -> None:
    put(client, {"id": "s1", "text": "A seal", "metadata": {"age": 3, "name": "Nessa"}})
    before = client.get("/v1/passages/s1")
    patch = {"records": [{"id": "s1", "metadata": {"age": 4, "name": None}}]}
    assert send(client, "PATCH", patch).json()["patched"] == 1
    after = client.get("/v1/passages/s1")
    assert (after.json()["metadata"], after.json()["text"]) == ({"age": 4}, "A seal")
    assert after.headers["etag"] == f'"{after.json()["version"]}"' != before.headers["etag"]
    assert ids_of(client, "seal", filter={"age": 4}) == ["s1"]
    assert send(client, "PATCH", patch).json()["patched"] == 0
    unknown = {"records": [{"id": "s1", "metadata": {}}, {"id": "s0", "metadata": {"age": 1}}]}
    assert "records.1.id" in assert_problem(send(client, "PATCH", unknown), 422)["detail"]


def test_a_version_that_was_overtaken_writes_nothing(client: Client) -> None:
    put(client, {"id": "v1", "text": "one"})
    version = client.get("/v1/passages/v1").headers["etag"]
    assert put(client, {"id": "v1", "text": "two"}, If_Match=version).status == 200
    assert_problem(put(client, {"id": "v1", "text": "three"}, If_Match=version), 412)
    stale = {"id": "v1", "text": "three", "version": version.strip('"')}
    assert (
        "'v1' is version"
        in assert_problem(put(client, stale, {"id": "v2", "text": "x"}), 409)["detail"]
    )
    assert client.get("/v1/passages/v1").json()["text"] == "two"
    assert_problem(client.get("/v1/passages/v2"), 404)
    assert_problem(put(client, {"id": "v3", "text": "new"}, If_Match="*"), 412)
    assert put(client, {"id": "v1", "text": "three"}, If_Match="*").status == 200


def test_a_request_that_is_repeated_is_done_once(client: Client) -> None:
    first = put(client, {"id": "k1", "text": "a key"}, Idempotency_Key="abc")
    delete(client, "k1")
    again = put(client, {"id": "k1", "text": "a key"}, Idempotency_Key="abc")
    assert again.json() == first.json()
    assert_problem(client.get("/v1/passages/k1"), 404)
    other = put(client, {"id": "k1", "text": "another"}, Idempotency_Key="abc")
    assert "Idempotency-Key" in assert_problem(other, 422)["detail"]


def test_a_filter_deletes_and_everything_has_to_be_confirmed(client: Client) -> None:
    put(client, *({"id": f"f{i}", "text": "a fin", "metadata": {"fins": i}} for i in range(5)))
    counted = send(client, "DELETE", {"filter": {"fins": {"gte": 2}}, "dry_run": True}).json()
    assert counted["removed"] == 3
    assert ids_of(client, "fin", filter={"fins": {"gte": 0}}, top_k=9)
    done = send(client, "DELETE", {"filter": {"fins": {"gte": 2}}}).json()
    assert (done["removed"], done["sequence"]) == (3, counted["sequence"] + 1)
    assert sorted(ids_of(client, "fin", filter={"fins": {"gte": 0}}, top_k=9)) == ["f0", "f1"]
    assert_problem(send(client, "DELETE", {"filter": {}}), 422)
    assert_problem(send(client, "DELETE", {}), 422)
    assert (
        "no passage has this field"
        in assert_problem(send(client, "DELETE", {"filter": {"wings": 1}}), 422)["detail"]
    )


def test_passages_are_listed_in_pages_by_id(client: Client) -> None:
    put(client, *({"id": f"l{i}", "text": "listed", "metadata": {"list": "yes"}} for i in range(7)))
    delete(client, "l3")
    asked = f"/v1/passages?limit=4&filter={quote(json.dumps({'list': 'yes'}))}"
    first = client.get(asked).json()
    assert [one["id"] for one in first["passages"]] == ["l0", "l1", "l2", "l4"]
    put(client, {"id": "l10", "text": "later", "metadata": {"list": "yes"}})
    rest = client.get(f"{asked}&cursor={first['cursor']}").json()
    assert ([one["id"] for one in rest["passages"]], rest["cursor"]) == (["l5", "l6"], None)
    whole, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/v1/passages?limit=50{cursor and f'&cursor={cursor}'}").json()
        whole += [one["id"] for one in page["passages"]]
        cursor = page["cursor"]
    assert whole == sorted(set(whole))
    assert {"en-food-0", "l10"} <= set(whole)
    for odd in ("%C3%BC", "%25%25%25", "*", "abc"):
        assert_problem(client.get(f"/v1/passages?cursor={odd}"), 422)


@pytest.mark.parametrize(
    ("records", "status", "said"),
    [
        ([{"id": "x", "text": "a"}, {"id": "x", "text": "b"}], 422, "records.1.id"),
        ([{"id": "x", "text": "a"}, {"id": " ", "text": "b"}], 422, "records.1: id is blank"),
        ([{"id": "x"}], 422, "records.0: text"),
        ([{"id": "x", "text": "a", "passages": ["b"]}], 422, "records.0: text and passages"),
        ([{"id": "x", "text": "\ud800"}], 422, "records.0.text"),
        ([{"id": "x", "text": "a", "metadata": {"a": [[[]]], "b": 1e999}}], 422, "records.0"),
        (
            [{"id": "x", "text": "a", "metadata": {"year": "old"}}],
            422,
            "records.0.metadata.year: is a text",
        ),
        (
            [{"id": "x", "text": "a", "metadata": {"lang": [7]}}],
            422,
            "records.0.metadata.lang: is no text",
        ),
        ([{"id": "x", "text": "a", "colour": "red"}], 422, "records.0.colour"),
        ([{"id": str(i), "text": "a"} for i in range(9)], 413, "9 of them, at most 8"),
        ([], 422, "records"),
    ],
)
def test_bad_records_are_named_and_nothing_is_written(
    client: Client, records: list[Any], status: int, said: str
) -> None:
    before = put(client, {"id": "stays", "text": "stays"}).json()["sequence"]
    assert said in assert_problem(put(client, *records), status)["detail"]
    assert put(client, {"id": "stays", "text": "stays"}).json()["sequence"] == before


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ('{"a": NaN}', "metadata 'a' holds nan"),
        ('{"a": [1e999]}', "metadata 'a' holds inf"),
        ('{"a": "\\ud800"}', "metadata 'a' holds a lone surrogate"),
        ('{"\\ud800": 1}', "metadata holds a lone surrogate"),
        ('{"a": ' + "[" * 101 + "]" * 101 + "}", "metadata 'a' is nested more than 100 deep"),
    ],
)
def test_a_patch_is_checked_as_a_record_is(client: Client, metadata: str, said: str) -> None:
    before = put(client, {"id": "stays", "text": "stays"}).json()["sequence"]
    body = f'{{"records": [{{"id": "stays", "metadata": {metadata}}}]}}'.encode()
    reply = client.request("PATCH", "/v1/passages", body, JSON)
    assert f"records.0: {said}" in assert_problem(reply, 422)["detail"]
    assert put(client, {"id": "stays", "text": "stays"}).json()["sequence"] == before


def test_versions_beside_a_filter_are_not_passed_over(client: Client) -> None:
    body = {"filter": {"lang": "en"}, "versions": {"x": "0"}, "dry_run": True}
    assert "versions: are of ids" in assert_problem(send(client, "DELETE", body), 422)["detail"]


@pytest.mark.parametrize(
    "id_", ["ends/", "//", "a\nb", "a\n", "\r\n/x", "a%2Fb", "..", "?a#b", "ü \x00"]
)
def test_a_passage_is_read_by_whatever_id_it_has(client: Client, id_: str) -> None:
    assert put(client, {"id": id_, "text": "odd"}).status == 200
    path = quote(id_, safe="")
    assert client.get(f"/v1/passages/{path}").json()["id"] == id_
    assert client.get(f"/v1/documents/{path}/").json()["id"] == id_
    assert delete(client, id_).json()["removed"] == 1


def test_a_search_waits_for_the_write_that_it_asks_for(client: Client) -> None:
    reply = send(client, "PUT", {"records": [{"id": "d1", "text": "a dugong"}], "wait": "durable"})
    sequence = reply.json()["sequence"]
    assert ids_of(client, "dugong", top_k=1, min_sequence=sequence) == ["d1"]
    late = client.search("dugong", min_sequence=sequence + 1, timeout_ms=50)
    assert "not visible yet" in assert_problem(late, 504)["detail"]


def test_a_bundle_has_one_writer_and_is_whole_when_the_server_has_stopped(
    small_bundle: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "one.lurcher"))
    with running(settings(bundle, writable=True)) as client:
        put(client, {"id": "m1", "text": "a manatee"})
        with pytest.raises(Exception, match=r"is being written by process \d+"):
            Writer.open(bundle)
    assert verify(bundle) == []
    opened = Bundle.open(bundle)
    assert opened.passages.rows_of(["m1"])
    opened.close()


def test_who_may_write(small_bundle: Path, client: Client) -> None:
    with running(settings(small_bundle)) as reader:
        assert_problem(put(reader, {"id": "a", "text": "a"}), 403)
