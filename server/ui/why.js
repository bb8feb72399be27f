/* Why a hit is here: what found it, the words that met, who asked before, and where exactly it stands. */

import { el } from "./dom.js";

// Names of scores as people read them, in the order in which stages give them.
const NAMES = {
  dense: ["Meaning", "how near the vectors of query and passage are"],
  lexical: ["Words", "how much of the query's words the passage has"],
  neighbours: ["Known queries", "what similar queries with known answers add"],
  fused: ["Together", "what found it, added up"],
  maxsim: ["Word by word", "each word of the query with its nearest in the passage"],
  rank: ["Final", "what the hits are ordered by"],
};
const LEAST = 0.45; // cosine below which two words have not met
const MOST = 8; // pairs of words

/* The panel for `hit`; `alignment` is a promise of its token_alignment, or null where nothing ranks by tokens. */
export function why(hit, query, alignment) {
  const rows = [];
  const row = (name, ...kids) => rows.push(el("dt", { text: name }), el("dd", {}, ...kids));
  const scores = Object.entries(hit.scores ?? {});
  const known = hit.contributing_neighbours ?? [];
  if (scores.length) row("Scores", el("ul", { class: "scores" }, scores.map(([name, value]) => score(name, value))));
  if (alignment) row("Words that met", met(hit, query, alignment));
  if (known.length) row("Asked before", el("ul", { class: "asked" }, known.slice(0, 3).map(asked)));
  if (hit.duplicates) row("Nearly the same", `${hit.duplicates} more in the collection`);
  row("Passage", el("code", { text: hit.id }), hit.document !== undefined && hit.document !== hit.id
    ? ` in ${hit.document}, characters ${hit.start.toLocaleString("en")} to ${hit.end.toLocaleString("en")}` : null);
  const metadata = Object.entries(hit.metadata ?? {}).filter(([, value]) => value !== null && value !== "");
  if (metadata.length) row("Metadata", el("ul", { class: "metadata" }, metadata.map(([name, value]) =>
    el("li", {}, el("b", { text: `${name} ` }), written(value)))));
  return el("dl", {}, rows);
}

const written = (value) => (typeof value === "string" ? value
  : Array.isArray(value) ? value.map(written).join(", ") : JSON.stringify(value));

function score(name, value) {
  const [label, title] = NAMES[name] ?? [name, ""];
  const bar = el("i", { "aria-hidden": "true" });
  // A cosine fills its share of 1; what is larger fills all.
  bar.style.setProperty("--part", `${100 * Math.min(1, Math.max(0, value))}%`);
  return el("li", { "data-score": name, title: `${name}: ${title}` }, el("span", { text: label }), bar, el("data", { value, text: value.toFixed(3) }));
}

/* A known query, with its part of what they said. */
const asked = ({ query, share }) => el("li", { dir: "auto" }, query,
  el("small", { text: ` ${share < 0.005 ? "under 1" : Math.round(100 * share)}\u00a0%` }));

function met(hit, query, alignment) {
  const list = el("ul", { class: "met", "aria-busy": "true" }, el("li", { text: "…" }));
  alignment.then((found) => {
    const pairs = pairsOf(found ?? [], query, hit);
    list.replaceChildren(...(pairs.length ? pairs.map(([asked, there, similarity]) => el("li", {},
      el("span", { text: asked }), " → ", el("span", { text: there }), el("small", { text: ` ${similarity.toFixed(2)}` })))
      : [el("li", { text: "none closely" })]));
  }, () => list.replaceChildren(el("li", { text: "not to be had now" })))
    .finally(() => list.removeAttribute("aria-busy"));
  return list;
}

/* [query's word, passage's word, cosine], what counts most first; tokens are pieces of words, so they are made whole. */
export function pairsOf(alignment, query, hit) {
  const best = new Map();
  for (const { query: span, passage, part, similarity, weight } of alignment) {
    const asked = wholeWord(query, span);
    const there = wholeWord(part === "title" ? hit.title : hit.text ?? "", passage);
    if (similarity < LEAST || !asked || !there) continue;
    const value = similarity * weight;
    if (value > (best.get(asked)?.value ?? 0)) best.set(asked, { there, similarity, value });
  }
  return [...best].sort(([, a], [, b]) => b.value - a.value).slice(0, MOST)
    .map(([asked, { there, similarity }]) => [asked, there, similarity]);
}

/* The word around a span, which counts code points. */
export function wholeWord(text, { start, end }) {
  const points = Array.from(text);
  const inWord = (point) => point !== undefined && /[\p{L}\p{N}\p{M}]/u.test(point);
  if (!points.slice(start, end).some(inWord)) return "";
  while (start > 0 && inWord(points[start - 1])) start -= 1;
  while (end < points.length && inWord(points[end])) end += 1;
  return points.slice(start, end).join("");
}
