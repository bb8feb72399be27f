"""``lurcher add``, ``sync``, ``delete``, ``compact``, ``snapshot`` and ``restore`` as a person calls them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lurcher.bundle.verifying import verify
from tests.cli.running import Run, complaint, output


def test_a_bundle_is_kept_up_to_date(
    run: Run, small_bundle: Path, small_corpus: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "docs.lurcher"))
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps({"id": "n1", "text": "A narwhal", "lang": "en"}) + "\n")
    assert "1 documents written, 0 unchanged" in output(run("add", bundle, more))
    assert "0 documents written, 60 unchanged, 1 deleted" in output(
        run("sync", bundle, small_corpus)
    )
    french = ("--filter", '{"lang": "fr"}')
    assert "20 passages would be deleted" in output(run("delete", bundle, *french, "--dry-run"))
    assert "20 passages deleted" in output(run("delete", bundle, *french))
    (tmp_path / "ids").write_text("en-food-0\nnobody\n")
    gone = run("delete", bundle, "--ids", f"@{tmp_path / 'ids'}")
    assert "1 passages deleted" in output(gone)
    assert "no passage or document has the id 'nobody'" in gone.stderr
    assert "39 passages in one segment" in output(run("compact", bundle))
    assert "generation" in output(run("snapshot", bundle, "copy.tar"))
    assert "39 passages" in output(run("restore", "copy.tar", "r.lurcher"))
    assert verify(tmp_path / "r.lurcher") == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "name either --ids or --filter"),
        (["--ids", ","], "names none"),
        (["--ids", "@nothing"], "cannot read nothing"),
        (["--filter", "{}"], "would delete everything"),
        (["--filter", '{"year": {"gte": 0}}'], "give confirm"),
        (["--filter", '{"colour": "red"}'], "no passage has this field"),
    ],
)
def test_what_cannot_be_deleted_is_said(
    run: Run, small_bundle: Path, tmp_path: Path, flags: list[str], said: str
) -> None:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "docs.lurcher"))
    assert said in complaint(run("delete", bundle, *flags))
