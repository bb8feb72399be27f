"""What reads like a question, in which a reader's probabilities hold, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.retrieval.questions import is_question


@pytest.mark.parametrize(
    "query",
    [
        "who invented the telescope",
        "WHO INVENTED THE TELESCOPE",
        "What's npm",
        "what’s npm",
        "whats npm",
        "how to uninstall a package",
        "In which year did it open",
        "for how long is it kept",
        "and why is that",
        "the tower was built when",
        "npm is written in what",
        "is npm free",
        "isn't it free software",
        "Can I use it offline",
        "uninstall a package?",
        "Really? Tell me more",
        'was it "safe?"',
        "it ends here (or does it?)",
        "the answer ?!",
        "Qui a inventé le téléphone ?",
        "Wo liegt Hamburg?",
        "¿Dónde está el puerto",
        "東京はどこですか？教えて",
        "这是什么？",
        "ما هي عاصمة مصر؟",
        "آیا این درست است؟",
        "Που είναι το λιμάνι;",
        "Που είναι το λιμάνι\u037e",
        "ինչու՞ այդպես",
        "ስሙ ማን ነው፧",
        "what is it ❓",
        "nonsense❓",
    ],
)
def test_it_reads_like_a_question(query: str) -> None:
    assert is_question(query)


@pytest.mark.parametrize(
    "query",
    [
        "uninstall a package",
        "npm uninstall",
        "greyhound",
        "who",
        "which",
        "can opener",
        "do not disturb",
        "is.na function",
        "what-if analysis",
        "somewhat whatever whoever",
        "isotope half life",
        "in the year",
        "about time",
        "man which",
        "the who",
        "http://example.org/?q=what&a=b",
        "colou?r",
        "ls file?.txt",
        "a ? b : c",
        "x = 1; y = 2;",
        "c'est la vie;",
        "東京 人口",
        "?",
        " ? ! ",
        "？",
        "...",
        "😀",
        "",
        " ",
    ],
)
def test_it_does_not_read_like_a_question(query: str) -> None:
    assert not is_question(query)


@given(st.text(max_size=40))
def test_a_word_with_a_question_mark_asks(text: str) -> None:
    assert is_question(f"{text} word?")


@given(st.text(max_size=40), st.sampled_from(["", " ", "\n", "\t\u3000"]))
def test_blanks_around_a_query_make_no_difference(text: str, blank: str) -> None:
    assert is_question(blank + text + blank) == is_question(text)
