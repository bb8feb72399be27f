"""What a terminal shows of a hit tells it from others, on lines that can be read."""

from __future__ import annotations

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lurcher.printed import print_hit

TEXT = "A first sentence. The valve\tleaks\n oil. A last one."


def shown(title: str, name: str, text: str = TEXT, *spans: tuple[int, int]) -> list[str]:
    out = StringIO()
    print_hit(Console(file=out, width=400), 0.25, title, name, text, spans)
    return [line.rstrip() for line in out.getvalue().split("\n")[:-1]]


def test_a_hit_has_a_name_and_a_sentence() -> None:
    assert shown("Pumps", "a#2", TEXT, (18, 40)) == [
        "0.250  Pumps  a#2", "       The valve leaks oil.",
    ]  # fmt: skip
    assert shown("", "a#2")[0] == "0.250  a#2"
    assert shown("Pumps", "a")[1] == "       A first sentence. The valve leaks oil. A last one."


def test_long_titles_and_sentences_are_cut() -> None:
    head, line = shown("long " * 50, "a", "word " * 100)
    assert head == f"0.250  {('long ' * 20).rstrip()}…  a"
    assert line == f"       {('word ' * 60).rstrip()}…"


def test_a_link_is_not_broken_where_the_terminal_ends() -> None:
    out, link = StringIO(), "https://docs.example/" + "a" * 100
    print_hit(Console(file=out, width=40), 0.25, "Pumps", link, "x", ())
    assert link in out.getvalue()


def test_brackets_and_escapes_are_no_commands() -> None:
    assert (
        shown("[red]T[/]", "[b]\x1b[2J")[0] == "0.250  [red]T[/]  [b]\N{REPLACEMENT CHARACTER}[2J"
    )


@given(st.text(), st.text(min_size=1), st.text())
def test_each_hit_is_two_lines(title: str, name: str, text: str) -> None:
    out = StringIO()
    print_hit(Console(file=out, width=2_000), 0.25, title, name, text, ())
    assert out.getvalue().count("\n") == 2
