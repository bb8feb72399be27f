"""Canned replies for the search page, chosen by the query."""

from __future__ import annotations

from typing import Any

NO_VALUE = 1  # a year that no passage has
ATTACK = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"
SHOWN_ATTACK = "<script>window.pwned=1</script>"  # an image's tag shows nothing
LONG_WORD = "antidisestablishmentarianism" * 20


def hit(text: str, best: str = "", **others: Any) -> dict[str, Any]:
    start = text.index(best)
    spans = [{"start": start, "end": start + len(best)}] if best else []
    plain = {
        "id": "4983",
        "score": 0.7312,
        "scores": {
            "dense": 0.5512,
            "lexical": 0.31,
            "fused": 0.6312,
            "maxsim": 0.7912,
            "rank": 0.7312,
        },
        "title": "Aspirin and stroke",
    }
    whole = {**plain, "text": text, "metadata": {"year": 2015}, "highlights": spans, **others}
    place = {"document": whole["id"], "section": [], "start": 0, "end": len(text)}
    return {**place, **whole}


def known(query: str, share: float, **others: Any) -> dict[str, Any]:
    return {"id": "q1", "query": query, "similarity": 0.9, "share": share, **others}


BEST = "Aspirin lowered the rate of ischaemic stroke."
LONG = "Background comes first. " * 30 + BEST + " More was measured." * 30
HITS = {
    "emoji": [hit("🐕🐕‍🦺 Hunde 🏃. Best one é🎯. Rest.", "Best one é🎯.")],
    "attack": [hit(ATTACK, ATTACK, id=ATTACK, title=ATTACK, metadata={ATTACK: [ATTACK]})],
    "long words": [
        hit(
            f"{LONG_WORD}. End.",
            "End.",
            id=LONG_WORD,
            title=LONG_WORD,
            metadata={LONG_WORD: LONG_WORD},
        )
    ],
    "no title": [hit("Bare.", title="")],
    "known": [
        hit(
            "Words that nobody asked with.",
            score=0.8,
            scores={"dense": 0.1, "neighbours": 0.9, "fused": 0.8},
            contributing_neighbours=[
                known(ATTACK, 0.617),
                known(LONG_WORD, 0.25, id=""),
                known("asked once", 0.001),
                known("a fourth", 0.001),
            ],
        ),
        hit(
            "Nobody asked for this.",
            id="28",
            scores={"dense": 0.1, "neighbours": 0, "fused": 0.05},
            contributing_neighbours=[],
        ),
    ],
}
NORMAL = [
    hit(f"A trial. {BEST} It did not lower mortality.", BEST),
    hit(
        LONG,
        BEST,
        id="27",
        title="A long one",
        score=0.52,
        scores={"dense": 0.52, "lexical": 0, "fused": 0.52, "maxsim": 0.52, "rank": 0.52},
    ),
    *[
        hit(f"Other words, number {i}.", id=f"n{i}", title=f"Hit {i}", score=0.5 - i / 50)
        for i in range(3, 11)
    ],
]
# A documentation page: Markdown, a title with sections, a path, one text under two names.
GUIDE = "docs/guide/install.md"
INSTALL = (
    "## Install\n\nRun **this** in `bash`, see [the docs](https://example.org/a_b) and"
    " [a neighbour](other.md):\n\n"
    "```console\n$ pip install lurcher\n```\n\n* one\n* two\n\n| name | use |\n|---|---|\n| `a` | first |\n"
)
DOCS = [
    hit(INSTALL, "Run **this** in `bash`", id=f"{GUIDE}#2", document=GUIDE, title="Guide > Install",
        section=["Install"], start=10, end=10 + len(INSTALL), anchor="install",
        metadata={"source": GUIDE}),
    hit("Remove it by `pip uninstall`, and its data by hand, folder by folder.", id=f"{GUIDE}#3",
        document=GUIDE, title="Guide > Uninstall", section=["Uninstall"], start=400, end=470,
        metadata={"source": GUIDE}),
    hit(INSTALL.replace("**", "").replace("`", ""), id="site/install.html", title="Install",
        metadata={"source": "site/install.html"}),
    hit("Where it runs.", id="faq/os.md", title="FAQ", url="https://example.org/faq", anchor="os",
        metadata={"source": "faq/os.md"}),
    hit("<b>No</b> link here.", id="faq/x.md", title="Bad link", url="javascript:window.pwned=1",
        metadata={"source": "faq/x.md"}),
]  # fmt: skip
HITS["docs"] = DOCS
HITS["years"] = [
    hit(f"Found in the year {y}.", id=f"y{i}", title=f"Year {y}", metadata={"year": y})
    for i, y in enumerate([2001, 2001, 2002])
]
HITS["five of one"] = [
    hit(f"Part {word} of it.", id=f"one#{word}", document="one", title="One", start=i, end=i + 9)
    for i, word in enumerate(["first", "second", "third", "fourth", "fifth"])
]
HITS["two alike"] = [hit("A text that is told twice.", duplicates=2)]
WHOLE = "# Guide\n\n" + " " + INSTALL + " " * 20 + "The end of the guide.\n"
PROBLEM = {
    "type": "about:blank",
    "title": "A field cannot be used",
    "status": 422,
    "detail": "filter.colour: no passage has this field; there are: year",
    "errors": [{"field": "filter.colour", "reason": "no passage has this field; there are: year"}],
}
FAULTS = {
    "title": "Two fields cannot be used",
    "status": 422,
    "detail": "See errors.",
    "errors": [
        {"field": "query", "reason": "is too long"},
        {"field": "filter.year", "reason": "is no number"},
    ],
}
# What follows an answer's words must not be cut, and its offsets count in the whole text.
SENTENCE = "The 🐕🐕‍🦺 lay e\u0301te\u0301 🎯 on the warm windowsill."
ANSWER = {
    "text": "e\u0301te\u0301 🎯",
    "score": 0.87346,
    "passage": {"id": "27", "title": "A long one"},
    "part": "text",
    "start": 40 + SENTENCE.index("e\u0301"),
    "end": 40 + SENTENCE.index("🎯") + 1,
    "sentence": {"start": 40, "end": 40 + len(SENTENCE), "text": SENTENCE},
}
_ATTACKED = {"start": 0, "end": len(ATTACK)}
ANSWERS = {
    "attack": {
        **ANSWER, "text": ATTACK, "passage": {"id": ATTACK, "title": ATTACK}, **_ATTACKED,
        "sentence": {**_ATTACKED, "text": ATTACK},
    },
    "long words": {
        **ANSWER, "text": LONG_WORD, "passage": {"id": LONG_WORD, "title": LONG_WORD},
        "start": 0, "end": len(LONG_WORD),
        "sentence": {"start": 0, "end": len(LONG_WORD), "text": LONG_WORD},
    },
    "elsewhere": {**ANSWER, "passage": {"id": "no hit", "title": ""}},
    "unsure": {**ANSWER, "score": 0.5},
    "a letter": {
        **ANSWER, "text": "a", "start": 40, "end": 41,
        "sentence": {"start": 40, "end": 50, "text": "a dog runs"},
    },
    "nothing": None,
}  # fmt: skip
HITS["examples"] = [
    hit("Text.", id="e1", title="Guide > What is it for?", section=["What is it for?"]),
    hit(
        "Text, too.",
        id="e2",
        title="Guide > How to keep a dog warm",
        section=["How to keep a dog warm"],
    ),
    hit("No text.", id="e3", title="Guide > See also", section=["See also"]),
]
# Of the query "does aspirin prevent strokes": its second word, and the fourth of the first hit's text.
ALIGNED = [
    {"query": {"start": 5, "end": 8}, "part": "text", "passage": {"start": 9, "end": 12}, "similarity": 0.91,
     "weight": 0.6},
    {"query": {"start": 0, "end": 4}, "part": "text", "passage": {"start": 0, "end": 1}, "similarity": 0.2,
     "weight": 0.4},
]  # fmt: skip
FIELDS = {"source", "year"}
OFF: dict[str, Any] = {"title": "Forbidden", "status": 403, "detail": "feedback is off"}
NO_KEY: dict[str, Any] = {"title": "Unauthorized", "status": 401, "detail": "this needs an API key"}
BAD_KEY: dict[str, Any] = {
    "title": "Unauthorized",
    "status": 401,
    "detail": "this API key is not known here",
}
READ_KEY: dict[str, Any] = {"title": "Forbidden", "status": 403, "detail": "this key may search"}
TAKEN: dict[str, Any] = {"accepted": 1, "refused": [], "held_back": 0, "key": "k"}
BUNDLE = {
    "name": "scifact",
    "passages": 5183,
    "encoder": {"name": "minilm-l6", "dimension": 384},
    "filter_fields": sorted(FIELDS),
    "lexical": {"language": "english"},
    "tokens": {"bits": 160, "keep_ratio": 0.36},
}
