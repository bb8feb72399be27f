"""Texts of many kinds to align a student on, without judgements: of passages, code and manuals.

A student loses most on kinds of text that it never saw. A corpus gives titles, sentences, whole passages and
the keywords of its sentences. Python files give what people ask of code, the names of functions in words and
what their docstrings begin with, and what programs say when something is wrong. Manual pages and the
descriptions of packages are those of the machine.
"""

from __future__ import annotations

import ast
import gzip
import json
import random
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from lurcher.errors import CorpusError
from lurcher.evaluation.judgements import lines
from lurcher.models.lexical.languages import function_words

_WORDS = (4, 40)  # of a sentence that is kept
_LARGEST = 400_000  # bytes of a file of code; larger ones are tables
_LONGEST = 150  # words of a passage that is one text: about what a query encoder reads
_KEYWORDS = (2, 6)  # words of what stands for a search by keywords
_NOT_OURS = {"site-packages", "test", "tests"}  # below a folder of code: other people's, and tests
_LOGGED = {"debug", "info", "warning", "error", "critical", "exception"}
_CODE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def sentences_of(text: str) -> list[str]:
    """The sentences of ``text``, cut after a full stop, a question or exclamation mark."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)


def whole_sentences(text: str) -> list[str]:
    """The sentences of ``text`` that say something by themselves: 4 to 40 words."""
    return [one for one in sentences_of(text) if _WORDS[0] <= len(one.split()) <= _WORDS[1]]


def titles_and_sentences(corpus: Path, among: Collection[str] | None = None) -> Iterator[str]:
    """The title and sentences of each passage of ``corpus``, corpus.jsonl of ``_id``, title and text.

    ``among`` are the ids of the passages to read, if not all. Raises CorpusError.
    """
    return _titles_and_sentences(_passages(corpus, among))


def _titles_and_sentences(passages: Iterable[tuple[str, str]]) -> Iterator[str]:
    for title, text in passages:
        if title:
            yield title
        yield from whole_sentences(text)


def _passages(corpus: Path, among: Collection[str] | None) -> Iterator[tuple[str, str]]:
    """Title and text of each passage asked for."""
    for number, line in lines(corpus):
        try:
            passage = json.loads(line)
            id_, title, text = passage["_id"], passage.get("title") or "", passage["text"]
        except (ValueError, TypeError, KeyError) as error:
            raise CorpusError(corpus, number, "not an object with _id and text") from error
        if among is None or id_ in among:
            yield title, text


def passages_of(corpus: Path) -> Iterator[str]:
    """Title and text of each passage of ``corpus`` as one text, cut after 150 words. Raises CorpusError."""
    for title, text in _passages(corpus, None):
        yield " ".join(f"{title} {text}".split()[:_LONGEST])


def keywords_of(sentences: Iterable[str], seed: int = 0) -> Iterator[str]:
    """Of each sentence some of its words in a row, function words left out, as people type them."""
    draw = random.Random(seed)  # noqa: S311  # sampling, not cryptography
    common = function_words("english")
    for sentence in sentences:
        words = re.findall(r"[^\W_][\w'-]*", sentence.lower())
        words = [word for word in words if word not in common]
        size = draw.randint(*_KEYWORDS)
        if len(words) >= size:
            first = draw.randint(0, len(words) - size)
            yield " ".join(words[first : first + size])


def drawn_from(passages: Iterable[tuple[str, str]], count: int, seed: int) -> list[str]:
    """At most ``count`` texts of ``passages``, title and text each: titles, sentences, and keywords of these.

    As many of the one kind as of the other where there are enough; the same for the same seed.
    """
    draw = random.Random(seed)  # noqa: S311  # sampling, not cryptography
    told = list(dict.fromkeys(_titles_and_sentences(passages)))
    keywords = list(dict.fromkeys(keywords_of(told, seed)))
    half = min(len(keywords), count // 2)
    return draw.sample(told, min(len(told), count - half)) + draw.sample(keywords, half)


def messages_of_code(folders: Iterable[Path]) -> Iterator[str]:
    """What the Python files below ``folders`` raise and log: texts of four words or more.

    A value that is filled in is left as a word of its place, ``%s`` as in the source.
    """
    for source in _sources(folders):
        for node in _nodes(source):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                call = node.exc
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in _LOGGED
            ):
                call = node
            else:
                continue
            said = " ".join(_literal(call.args[0]).split()) if call.args else ""
            if _WORDS[0] <= len(said.split()) <= _WORDS[1]:
                yield said


def of_manuals(folder: Path) -> Iterator[str]:
    """The sentences of the manual pages (``*.1.gz`` and the like, roff) below ``folder``."""
    for page in sorted(folder.glob("man[1-8]/*.gz")):
        try:
            source = gzip.decompress(page.read_bytes()).decode("utf-8", "replace")
        except (OSError, EOFError):  # a link to nowhere, or a page cut short
            continue
        # Lines of a macro set fonts and headings; those of plain text and of one bold word are read.
        lines_ = (re.sub(r"^\.(B|I|BR|BI|IR)\s+", "", line) for line in source.splitlines())
        text = " ".join(line for line in lines_ if not line.startswith((".", "'")))
        text = re.sub(r"\\f.|\\[&/,|^]|\\\(..|\\\[[^]]*\]", "", text).replace("\\-", "-")
        yield from (sentence for sentence in whole_sentences(text) if "\\" not in sentence)


def of_packages(status: Path) -> Iterator[str]:
    """What ``status``, a file of Debian's package descriptions, says of each: its summary, its sentences."""
    for stanza in status.read_text("utf-8", "replace").split("\n\n"):
        found = re.search(r"^Description(?:-en)?: (.*)\n((?: .*\n?)*)", stanza, re.MULTILINE)
        if found:
            yield found[1]
            told = re.sub(r"^ \.?", "", found[2], flags=re.MULTILINE)
            yield from whole_sentences(told)


def of_code(folders: Iterable[Path]) -> Iterator[str]:
    """Of each function and class in the Python files below ``folders``: name in words, docstring's start.

    Of those with a docstring only. Tests, installed packages and what does not parse are passed over.
    """
    for source in _sources(folders):
        for node in _nodes(source):
            if isinstance(node, _CODE) and (doc := ast.get_docstring(node)):
                start = " ".join(doc.split("\n\n")[0].split()[: _WORDS[1]])
                name = " ".join(re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", node.name)).lower()
                if len(start.split()) >= _WORDS[0]:
                    yield start
                    if " " in name:
                        yield name


def _sources(folders: Iterable[Path]) -> Iterator[bytes]:
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            below = file.relative_to(folder).parts
            if _NOT_OURS.isdisjoint(below) and file.is_file() and file.stat().st_size <= _LARGEST:
                yield file.read_bytes()


def _nodes(source: bytes) -> Iterator[ast.AST]:
    """The syntax tree's nodes, none of what does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            return ast.walk(ast.parse(source))
        except (SyntaxError, ValueError, RecursionError):
            return iter(())


def _literal(node: ast.expr) -> str:
    """The text of a string in the source, of an f-string what is not filled in."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_literal(part) or "%s" for part in parts)
        case ast.BinOp(left=left, right=right) if isinstance(node.op, ast.Add):
            return _literal(left) + _literal(right)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _literal(left)
        case _:
            return ""
