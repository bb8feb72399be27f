"""Every error of the tree comes out as a problem of its own status."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lurcher import errors as tree
from lurcher.errors import LurcherError
from lurcher.server.errors import problem, render

EXAMPLES: dict[type[LurcherError], LurcherError] = {
    tree.FieldError: tree.FieldError("top_k", "too many"),
    tree.CorpusError: tree.CorpusError("c.jsonl", 3, "not JSON"),
    tree.VersionConflict: tree.VersionConflict("p1", "a1", "b2"),
    tree.BundleError: tree.BundleError("b", "cannot be read"),
    tree.BundleNotFound: tree.BundleNotFound("b", "no such folder"),
    tree.BundleVersionError: tree.BundleVersionError("b", "format 2"),
    tree.BundleCorrupt: tree.BundleCorrupt("b", "passages.db", "cut short"),
    tree.FeedbackCorrupt: tree.FeedbackCorrupt("f.log", 3, "damaged"),
    tree.WalCorrupt: tree.WalCorrupt("000.log", 8, "has changed"),
    tree.QueueFull: tree.QueueFull(5, 2),
    tree.ShardsMissing: tree.ShardsMissing([3], 4),
    tree.PartlyWritten: tree.PartlyWritten({3: tree.WriteNotKept("no room")}, 4),
}
STATUS = {
    tree.FieldError: 422,
    tree.NoCollection: 404,
    tree.CollectionBusy: 409,
    tree.NoCorpus: 409,
    tree.VersionConflict: 409,
    tree.NotReady: 503,
    tree.ShardsMissing: 503,
    tree.PartlyWritten: 503,
    tree.QueueFull: 429,
    tree.DeadlinePassed: 504,
    tree.NotKept: 507,
    tree.FeedbackNotKept: 507,
    tree.WriteNotKept: 507,
}


def kinds(root: type[LurcherError] = LurcherError) -> Iterator[type[LurcherError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_each_kind_has_a_status_and_keeps_its_message(kind: type[LurcherError]) -> None:
    error = EXAMPLES.get(kind) or kind("what is wrong")
    found = problem(error, "req-1")
    assert found.status == STATUS.get(kind, 500)
    assert found.detail == str(error)
    assert found.request_id == "req-1"
    assert found.title
    assert render(found).media_type == "application/problem+json"


def test_field_at_fault_is_named_apart() -> None:
    (field,) = problem(EXAMPLES[tree.FieldError], "").errors
    assert (field.field, field.reason) == ("top_k", "too many")


def test_drawing_of_the_tree_is_complete() -> None:
    assert tree.__doc__
    drawn = re.findall(r"^ {4}(?:[│ ]*[├└]── )?([A-Z]\w+)(?:$|  )", tree.__doc__, re.M)
    assert drawn == [kind.__name__ for kind in kinds() if kind.__module__ == tree.__name__]
