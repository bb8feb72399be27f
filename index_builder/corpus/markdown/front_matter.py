"""The front matter of a Markdown file: where it ends, and the title that it gives."""

from __future__ import annotations

import re
import tomllib

from lurcher.index_builder.corpus.markup import one_line

_OPENING = re.compile(r"(---|\+\+\+)[ \t]*+(?:\r\n?|\n)")
_CLOSING = {
    "---": re.compile(r"^(?:---|\.\.\.)[ \t]*+$", re.MULTILINE),
    "+++": re.compile(r"^\+\+\+[ \t]*+$", re.MULTILINE),
}
# A line of YAML's outermost mapping: a key, what continues one, a comment, or nothing.
_YAML_LINE = re.compile(
    r"""[ \t#}\]]|- |-$|$|(?:"[^"]*+"|'[^']*+'|[\w$@./-]++(?:[ ][\w$@./-]++){0,3}+)[ \t]*+:(?:\s|$)"""
)
_YAML_TITLE = re.compile(r"""(?:title|"title"|'title')[ \t]*+:(?:[ \t]++(.*)|$)""", re.IGNORECASE)
_TOML_TITLE = re.compile(r"""(?:title|"title"|'title')[ \t]*+=""")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_ESCAPED = {"n": " ", "t": " ", "r": " ", "0": "", "N": " ", "_": " ", "L": " ", "P": " "}
# What stands for no value, and what begins something else than a text.
_NO_TEXT = re.compile(r"(?:null|~|[&*!\[{].*)$", re.IGNORECASE)


def front_matter(source: str) -> tuple[int, str]:
    """How many characters the front matter takes, 0 if there is none; and its title, else "".

    It is YAML between ``---`` lines or TOML between ``+++`` lines, and begins the file. Two lines ``---``
    with prose between are not front matter.
    """
    opening = _OPENING.match(source)
    if not opening:
        return 0, ""
    mark = opening[1]
    # "$" knows only "\n" as the end of a line; the length stays the same.
    text = source.replace("\r\n", " \n").replace("\r", "\n")
    closing = _CLOSING[mark].search(text, opening.end())
    if not closing:
        return 0, ""
    lines = [line.rstrip() for line in text[opening.end() : closing.start()].split("\n")]
    if mark == "+++":
        return closing.end(), _toml_title(lines)
    if not all(_YAML_LINE.match(line) for line in lines):
        return 0, ""
    return closing.end(), _yaml_title(lines)


def _toml_title(lines: list[str]) -> str:
    for line in lines:
        if line.startswith("["):
            # A title in a table is that of something else.
            return ""
        if _TOML_TITLE.match(line):
            try:
                title = tomllib.loads(line)["title"]
            except tomllib.TOMLDecodeError:
                return ""
            return one_line(title) if isinstance(title, str) else ""
    return ""


def _yaml_title(lines: list[str]) -> str:
    for number, line in enumerate(lines):
        if found := _YAML_TITLE.match(line):
            following = []
            for continued in lines[number + 1 :]:
                if continued and not continued[0].isspace():
                    break
                following.append(continued.strip())
            return _yaml_text((found[1] or "").strip(), following)
    return ""


def _yaml_text(value: str, following: list[str]) -> str:
    """What a value of YAML says on its line and on the lines that continue it."""
    if value[:1] in ("|", ">"):
        return one_line(" ".join(following))
    whole = one_line(" ".join([value, *following]))
    if whole.startswith('"'):
        quoted = re.match(r'"((?:[^"\\]++|\\.)*+)"', whole)
        return one_line(_ESCAPE.sub(_unescaped, quoted[1])) if quoted else ""
    if whole.startswith("'"):
        quoted = re.match(r"'((?:[^']++|'')*+)'", whole)
        return one_line(quoted[1].replace("''", "'")) if quoted else ""
    if not value and _YAML_LINE.match(whole):
        return ""  # a list or a mapping
    plain = re.split(r"(?:^|\s)#", whole, maxsplit=1)[0].rstrip()
    return "" if _NO_TEXT.match(plain) else plain


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    if code is None:
        return _ESCAPED.get(escape[4], escape[4])
    number = int(code, 16)
    # Half of a surrogate pair is no character.
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
