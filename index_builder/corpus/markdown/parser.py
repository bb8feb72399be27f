"""The parser that finds the blocks of a Markdown file: CommonMark's, and tables."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import table as read_table


def block_parser() -> MarkdownIt:
    """A parser whose tokens tell of blocks alone; a table is one token, ``table``.

    What is inside paragraphs and cells takes most of the time, and is needed of headings alone.
    """
    parser = MarkdownIt("commonmark", {"inline_definitions": True}).enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    return parser


def _table(state: StateBlock, first: int, limit: int, silent: bool) -> bool:
    """The library's rule without its tokens for each cell, which take longer than all the rest."""
    if not read_table(state, first, limit, True):
        return False
    if silent:
        return True
    kind, state.parentType = state.parentType, "table"
    # A table ends where a quote would, too.
    ends = state.md.block.ruler.getRules("blockquote")
    line = first + 2
    while (
        line < limit
        and state.sCount[line] >= state.blkIndent
        and not any(rule(state, line, limit, True) for rule in ends)
        and not state.isEmpty(line)
        and not state.is_code_block(line)
    ):
        line += 1
    state.push("table", "table", 0).map = [first, line]
    state.parentType = kind
    state.line = line
    return True
