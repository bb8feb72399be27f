// How the search page reads texts: Markdown, plain text, spans of them, and what of a long one it shows.

import assert from "node:assert/strict";
import { test } from "node:test";

const ui = new URL("../../../server/ui/", import.meta.url);
const { isMarkdown, parse, plain, words } = await import(new URL("markdown.js", ui));
const { clip, excerpt, leaves, pieces, toUnits } = await import(new URL("spans.js", ui));

const kinds = (text, markdown = true) => parse(text, markdown).map(({ type }) => type);
const shown = (text) => plain(parse(text));

test("blocks are told apart", () => {
  const text = "# Title\n\nPara\nof two lines.\n\n- a\n- b\n\n1. c\n\n> quoted\n\n```sh\nls\n```\n\n|a|b|\n|-|-|\n|1|2|\n\n---\n\n    code\n";
  assert.deepEqual(kinds(text), ["heading", "para", "list", "list", "quote", "pre", "table", "rule", "pre"]);
});

test("no syntax is left in what is shown", () => {
  const cases = {
    "**bold** and *it* and `code` and ~~gone~~": "bold and it and code and gone",
    "[a link](http://x.org \"t\") and ![a picture](y.png)": "a link and a picture",
    "[by reference][ref] and a note[^1]": "by reference and a note",
    "&lt;b&gt; &amp; &#169; &nope;": "<b> & © &nope;",
    "an <b>old</b><br>tag and <pkg>": "an old tag and <pkg>",
    "\\*not it\\* and snake_case_name and 2 * 3 * 4": "*not it* and snake_case_name and 2 * 3 * 4",
    "__init__ stays": "__init__ stays",
    "## Heading ## {#id}": "Heading",
    ":func:`open` of reST": "open of reST",
    "<!-- nothing -->": "",
    "Setext\n======": "Setext",
    "- [x] done": "done",
  };
  for (const [text, wanted] of Object.entries(cases)) assert.equal(shown(text), wanted, text);
});

test("admonitions keep their title", () => {
  assert.equal(shown("!!! note \"Mind\"\n    the gap\n"), "Mind\nthe gap");
  assert.equal(shown("::: tip\ninside\n:::\n"), "tip\ninside");
  assert.equal(shown("> [!WARNING]\n> careful\n").replace(/\s+/g, " "), "Warning careful");
});

test("lists hold lists, code and paragraphs", () => {
  const [list] = parse("1. one\n   - inner\n2. two\n\n   ```\n   x\n   ```\n");
  assert.equal(list.items.length, 2);
  assert.deepEqual(list.items[0].kids.map(({ type }) => type), ["para", "list"]);
  assert.deepEqual(list.items[1].kids.map(({ type }) => type), ["para", "pre"]);
});

test("a passage that begins inside a fence shows what stands before its end as code", () => {
  assert.deepEqual(kinds("x = 1\ny = 2\n```\n\nThen text.\n"), ["pre", "para"]);
  assert.deepEqual(kinds("Text.\n```\ncode\n"), ["para", "pre"]);
});

test("plain text keeps lists and what is indented, and no sign of it is syntax", () => {
  const text = "A paragraph *as it is*.\n\n * one\n * two\n\n    code a\n    code b\n";
  assert.deepEqual(kinds(text, false), ["para", "list", "pre"]);
  assert.match(plain(parse(text, false)), /\*as it is\*/);
});

test("what is Markdown goes by the name, or by the look where the name says nothing", () => {
  assert.ok(isMarkdown("plain", "a/b.md#3"));
  assert.ok(!isMarkdown("# no", "a.txt"));
  assert.ok(!isMarkdown("`no`", "a.html"));
  assert.ok(isMarkdown("Run `this`.", "p17"));
  assert.ok(!isMarkdown("2 * 3 = 6 and a_b, #1.", "p17"));
});

test("every leaf knows where it stands in the source", () => {
  const text = "## A [b](c) `d`\n\n> q *r*\n> s\n\n- [ ] t\n  u\n\n| v | w `x` |\n|---|---|\n| y | z |\n\n```\n  one\n  two\n```\n";
  for (const { text: own, at, width } of leaves(parse(text))) {
    if (width === own.length && own !== " ") assert.equal(text.slice(at, at + width), own);
  }
});

test("spans in code points become UTF-16 units and mark what they cover", () => {
  const text = "🐕🐕‍🦺 run. Best é🎯 one.";
  const start = Array.from(text).indexOf("B");
  const [span] = toUnits(text, [{ start, end: start + 7 }]);
  assert.equal(text.slice(span.start, span.end), "Best é🎯");
  const [leaf] = leaves(parse(text));
  assert.deepEqual(pieces(leaf, [span]).filter(([, isMarked]) => isMarked), [["Best é🎯", true]]);
});

test("an excerpt holds the marked sentence, begins and ends with whole words, and a short text is whole", () => {
  const text = "Lorem ipsum dolor. ".repeat(60) + "HERE it is. " + "Sit amet. ".repeat(60);
  const at = text.indexOf("HERE");
  const [from, to] = excerpt(text, [{ start: at, end: at + 11 }]);
  assert.ok(from < at && to > at + 11 && to - from < 600);
  assert.match(text.slice(from), /^\S/);
  assert.match(text.slice(to), /^\s/);
  assert.deepEqual(excerpt("short", []), [0, 5]);
});

test("clipped blocks keep whole lines of code and rows, and numbers of lists", () => {
  const text = "1. one\n2. two\n3. three\n\n```\nabc\ndef\n```\n";
  const [list, pre] = clip(parse(text), text.indexOf("two"), text.indexOf("bc") + 1);
  assert.equal(list.start, 2);
  assert.deepEqual(pre.lines.map((line) => line.text), ["abc"]);
});

test("headings are words", () => {
  assert.equal(words("[`npm version`](/x)  *now*"), "npm version now");
});

test("hostile texts cost no more than long ones", () => {
  const began = process.cpuUsage().user;
  for (const one of ["*", "[", "`", "_a ", "<a ", "> ", "- ", "![", "**a ", "&#x", "[a](b", "~~a ", "|", "1. ", "\\", "<!--"]) {
    const text = one.repeat(6_000);
    parse(text);
    parse(text, false);
    excerpt(text, [{ start: 5, end: 9 }]);
  }
  assert.ok(process.cpuUsage().user - began < 5e6); // microseconds; some 0.3 s as written
});
