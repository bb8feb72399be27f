/* What one may ask here: questions and headings that the collection itself has. */

import { post } from "./api.js";
import { placeOf } from "./places.js";

const WANTED = 5;
const MOST = 40; // hits to choose from
const ASKS = "how does it work and what is it for"; // near to whatever explains something
const LONGEST = 70; // characters
const COMMON = new Set(["see also", "examples", "example", "usage", "synopsis", "description", "configuration", "introduction",
  "overview", "installation", "install", "notes", "note", "license", "references", "options", "summary", "getting started"]);

/* Up to five texts to search for; none where the collection has no good ones. The server gives at most `limit` hits. */
export async function examples(limit = MOST) {
  const { hits } = await post("search", {
    query: ASKS, top_k: Math.min(limit, MOST), rank: "off", fold: true, group_by: "document", include: ["text", "highlights", "contributing_neighbours"],
  });
  return chosen(hits);
}

/* The examples among what `hits` offer: known queries first, then headings, questions before others, then titles. */
export function chosen(hits) {
  // A known query without an id comes from this server's users: nobody else's to see unasked.
  const known = hits.flatMap((hit) => hit.contributing_neighbours ?? []).filter(({ id }) => id).map(({ query }) => query);
  const places = hits.map(placeOf);
  const headings = places.map(({ section }) => section.at(-1) ?? "");
  const titles = hits.map((hit, i) => (hit.title ? places[i].title : ""));
  const sentences = hits.flatMap(({ text = "", highlights = [] }) => highlights.map(({ start, end }) => Array.from(text).slice(start, end).join("")));
  const long = (text) => text.split(/\s+/).length > 2;
  const offers = [known, headings.filter((one) => /[?？؟]$/.test(one)), headings.filter(long), titles.filter(long), headings, titles, sentences];
  const found = new Map();
  for (const offer of offers) {
    for (const text of offer) {
      if (fits(text) && !found.has(text.toLowerCase())) found.set(text.toLowerCase(), text);
    }
    if (found.size >= WANTED) break;
  }
  return [...found.values()].slice(0, WANTED);
}

function fits(text) {
  const words = text.trim().split(/\s+/).length;
  return text.length >= 6 && text.length <= LONGEST && !/[\n`*_<>|{}]|https?:/.test(text) && !COMMON.has(text.toLowerCase())
    && (words >= 2 || /[^\u0000-\u024f]/.test(text));
}
