// What the search page makes of hits: places, groups, facets, answers, examples, addresses.

import assert from "node:assert/strict";
import { test } from "node:test";

// Modules that ask the server read the page's address and its tab's memory when they are loaded.
globalThis.location = { pathname: "/", href: "http://localhost/" };
const ui = new URL("../../../server/ui/", import.meta.url);
const { fromAddress, toAddress } = await import(new URL("address.js", ui));
const { sureAnswer } = await import(new URL("answer.js", ui));
const { safeLink } = await import(new URL("dom.js", ui));
const { chosen } = await import(new URL("examples.js", ui));
const { facetsFrom, facetsOf, inWords } = await import(new URL("facets.js", ui));
const { grouped } = await import(new URL("group.js", ui));
const { placeOf } = await import(new URL("places.js", ui));
const { pairsOf, wholeWord } = await import(new URL("why.js", ui));

test("a place has the page's title, its section, a readable path and a link", () => {
  const place = placeOf({
    id: "docs/ls.html#2", title: "npm-ls > npm-ls @11.19.1 > Table of contents > `Synopsis`", document: "docs/ls.html",
    section: ["npm-ls @11.19.1", "Table of contents", "`Synopsis`"], url: "https://example.org/a%20b/ls", anchor: "syn",
  });
  assert.deepEqual(place, {
    title: "npm-ls", section: ["Synopsis"], path: ["example.org", "a b", "ls"],
    url: "https://example.org/a%20b/ls#syn", document: "docs/ls.html",
  });
});

test("what has no title goes by its file, and by its id where that is no path", () => {
  assert.equal(placeOf({ id: "a/b.md#1", document: "a/b.md" }).title, "b.md");
  assert.deepEqual([placeOf({ id: "p00038" }).title, placeOf({ id: "p00038" }).path], ["p00038", []]);
});

test("a first heading of the text is the section where there is none", () => {
  assert.deepEqual(placeOf({ id: "a", title: "T", text: "### Part *one*\n\nText" }).section, ["Part one"]);
});

test("only web addresses are links", () => {
  assert.equal(safeLink("javascript:alert(1)"), "");
  assert.equal(safeLink("data:text/html,x"), "");
  assert.equal(safeLink("other.md", "https://example.org/d/"), "https://example.org/d/other.md");
  assert.equal(safeLink("no base"), "");
});

test("hits of a document stand together in the order of the best, and one text stands once", () => {
  const long = "the quick brown fox jumps over the lazy dog and runs far away from here";
  const hits = [
    { id: "a1", document: "a", text: long }, { id: "b1", document: "b", text: "something else entirely" },
    { id: "a2", document: "a", text: "another part" }, { id: "c1", document: "c", text: `**${long}** today` },
    { id: "d1", document: "d", text: "Something else, entirely." }, { id: "e", document: "e", text: "" }, { id: "f", document: "f", text: "" },
  ];
  const { documents, also } = grouped(hits);
  assert.deepEqual(documents.map((one) => one.hits.map(({ id }) => id)), [["a1", "a2"], ["b1"], ["e"], ["f"]]);
  assert.deepEqual([...also].map(([hit, others]) => [hit.id, others.map(({ id }) => id)]), [["a1", ["c1"]], ["b1", ["d1"]]]);
});

const of = (field, ...values) => values.map((value) => ({ metadata: { [field]: value } }));

test("facets count values, lists member by member, and leave out what tells nothing apart", () => {
  const labels = (hits, field) => facetsOf(hits, [field]).flatMap(({ values }) => values.map(({ label, count }) => [label, count]));
  assert.deepEqual(labels(of("lang", "de", "en", "de"), "lang"), [["de", 2], ["en", 1]]);
  assert.deepEqual(labels(of("tags", ["a", "b"], ["a"], null), "tags"), [["a", 2], ["b", 1]]);
  assert.deepEqual(labels(of("lang", "de", "de"), "lang"), []);
  assert.deepEqual(labels(of("id", "1", "2", "3"), "id"), []);
  assert.deepEqual(labels(of("source", "x/a/1.md", "x/a/2.md", "x/b/3.md"), "source"), [["x/a/", 2], ["x/b/", 1]]);
  assert.deepEqual(labels(of("year", ...Array.from({ length: 12 }, (_, i) => 2000 + i)), "year")[0], ["2000–2001", 2]);
});

test("facets of the collection are those counted, put together if all values are known", () => {
  const found = (counted, hits = []) => facetsFrom([{ field: "f", ...counted }], hits, ["f"]).flatMap(({ values, shown }) => values.map(({ label, count }) => [label, count, shown]));
  const values = (...pairs) => pairs.map(([value, count]) => ({ value, count }));
  assert.deepEqual(found({ values: values(["de", 7], ["en", 2]), distinct: 40, passages: 90 }), [["de", 7, false], ["en", 2, false]]);
  assert.deepEqual(found({ values: values([true, 7], [false, 2]), distinct: 2, passages: 9 }), [["true", 7, false], ["false", 2, false]]);
  const paths = values(["x/a/1.md", 5], ["x/a/2.md", 3], ["x/b/3.md", 4]);
  assert.deepEqual(found({ values: paths, distinct: 3, passages: 12 }), [["x/a/", 8, false], ["x/b/", 4, false]]);
  const shown = of("f", "x/a/1.md", "x/a/2.md", "x/b/3.md");
  const ofHits = [["x/a/", 2, true], ["x/b/", 1, true]];
  assert.deepEqual(found({ values: paths, distinct: 9, passages: 30 }, shown), ofHits); // some are not known
  assert.deepEqual(found({ values: paths, distinct: 3, passages: 10 }, shown), ofHits); // a passage has two
  assert.deepEqual(found({ values: [], distinct: null, passages: null }, shown), ofHits);
});

test("filters are told in words", () => {
  assert.equal(inWords("source", { gte: "docs/", lt: "docs0" }), "source: docs/");
  assert.equal(inWords("year", { gte: 2000, lt: 2010 }), "year ≥ 2000 and < 2010");
  assert.equal(inWords("tag", { in: ["a", "b"] }), "tag: a or b");
  assert.equal(inWords("flag", true), "flag: true");
});

test("an answer is shown if it is sure and a word", () => {
  const reply = (text, score = 0.8, answered = true) => ({ answered, answers: [{ text, score }] });
  for (const text of ["Armstrong", "5", "犬", "été"]) assert.ok(sureAnswer(reply(text)), text);
  for (const text of ["a", "—", "x."]) assert.equal(sureAnswer(reply(text)), null, text);
  assert.equal(sureAnswer(reply("Armstrong", 0.6)), null);
  assert.equal(sureAnswer(reply("Armstrong", 0.9, false)), null);
  assert.equal(sureAnswer({ answered: false, answers: [] }), null);
});

test("examples are known queries of the bundle, then headings, questions first, and no one's feedback", () => {
  const hits = [
    { id: "1", title: "Guide > See also", section: ["See also"], text: "", contributing_neighbours: [{ id: "", query: "a secret one" }, { id: "q", query: "how to bake" }] },
    { id: "2", title: "Guide > How to keep warm", section: ["How to keep warm"], text: "" },
    { id: "3", title: "Guide > What is it for?", section: ["What is it for?"], text: "" },
  ];
  assert.deepEqual(chosen(hits).slice(0, 3), ["how to bake", "What is it for?", "How to keep warm"]);
  assert.ok(!chosen(hits).includes("a secret one"));
});

test("words that met are whole, nearest first, each word of the query once", () => {
  const hit = { title: "T", text: "the installing of things" };
  const match = (start, end, from, to, similarity) => ({ query: { start, end }, part: "text", passage: { start: from, end: to }, similarity, weight: 0.5 });
  const found = pairsOf([match(0, 2, 4, 7, 0.9), match(2, 7, 7, 9, 0.8), match(8, 9, 0, 3, 0.1)], "install x", hit);
  assert.deepEqual(found, [["install", "installing", 0.9]]);
  assert.equal(wholeWord("🐕 läuft!", { start: 3, end: 4 }), "läuft");
  assert.equal(wholeWord("a !", { start: 2, end: 3 }), "");
});

test("an address says what is searched for and nothing more", () => {
  const state = fromAddress("?c=x&q=a+b&k=20&retrieve=lexical&rank=off&filter=%7B%22y%22%3A1%7D&open=p&debug");
  assert.deepEqual({ ...state, wrong: undefined }, {
    q: "a b", k: 20, retrieve: "lexical", rank: "off", collection: "x", debug: true, open: "p", filter: { y: 1 }, wrong: undefined,
  });
  assert.deepEqual(fromAddress(toAddress(state)), state);
  assert.equal(toAddress(fromAddress("?q=a&k=10&retrieve=nonsense&rank=")), "?q=a");
  assert.match(fromAddress("?q=a&filter=[1]").wrong, /an object/);
});
