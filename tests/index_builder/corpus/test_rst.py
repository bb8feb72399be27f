from __future__ import annotations

import pytest

from lurcher.index_builder.corpus.texts.rst import read_rst

PAGE = """\
.. This licence is a comment,
   and goes on.

.. _target:

=====
Pumps
=====

Text.

Use ``it`` *well*
-----------------

::

    No title
    --------

- item
------

1. Numbered
-----------

Deep :ref:`link <x>`
~~~~~~~~~~~~~~~~~~~~

.. note:: Said.

..
   Not said.

Last `one <https://x.y>`_
-------------------------
"""


def test_the_structure_of_a_page() -> None:
    page = read_rst(PAGE)
    assert page.text == PAGE
    assert page.title == "Pumps"
    assert [(PAGE[one.start :].split("\n")[0], one.path) for one in page.sections] == [
        (".. This licence is a comment,", ()),
        ("=====", ()),
        ("Use ``it`` *well*", ("Use it well",)),
        ("1. Numbered", ("1. Numbered",)),
        ("Deep :ref:`link <x>`", ("1. Numbered", "Deep link")),
        ("Last `one <https://x.y>`_", ("Last one",)),
    ]
    assert [" ".join(PAGE[start:end].split()) for start, end in page.hidden] == [
        ".. This licence is a comment, and goes on.",
        ".. Not said.",
    ]


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("Short\n===\n", ""),
        ("Warned\n====\n", "Warned"),
        ("Hi\r\n==\r\n", "Hi"),
        ("長さ\n====", "長さ"),
        ("長さ\n===", ""),
        ("text\nsecond line\n===========\n", ""),
        ("text\n\n-----\n\nmore", ""),
        (" indented\n========\n", ""),
        ("====  ====\na     b\n====  ====\n", ""),
        ("+---+\n| a |\n+---+\n", ""),
        (":field: x\n=========\n", ""),
        ("=====\nA b\n=====", "A b"),
        ("=====\nA b\n====", ""),
        ("a\\*b **c** snake_case 2*3\n" + "=" * 30, "a*b c snake_case 2*3"),
        ("", ""),
    ],
)
def test_titles(source: str, title: str) -> None:
    assert read_rst(source).title == title


@pytest.mark.parametrize(
    "source",
    [".. _a: b\n", ".. [1] note\n", ".. |a| image:: b\n", ".. a-b:c:: d\n", "..\n\n  quote\n", "...\n"],
)  # fmt: skip
def test_what_is_no_comment(source: str) -> None:
    assert read_rst(source).hidden == ()
