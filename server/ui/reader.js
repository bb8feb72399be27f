/* The document around a passage, beside the hits on a wide screen and above them on a narrow one. */

import { get } from "./api.js";
import { byId, el } from "./dom.js";
import { rendered } from "./render.js";

const AROUND = 20_000; // code points of a long document before and after the passage
const narrow = matchMedia("(max-width: 67.99rem)");

let loading = null; // the AbortController of the document under way
let before = null; // what had the focus before the reader was opened
let closed = () => {};

const reader = byId("reader");

function cover() {
  const covers = !reader.hidden && narrow.matches;
  for (const one of [document.querySelector(".masthead"), byId("form"), byId("column"), byId("narrow"), document.querySelector("footer")]) one.inert = covers;
  document.documentElement.classList.toggle("covered", covers);
}
narrow.addEventListener("change", cover);

export const isOpen = () => !reader.hidden;
export const whenClosed = (then) => { closed = then; };

/* Show the document of `hit`, at `place`, with the passage in sight. */
export async function openReader(hit, place) {
  loading?.abort();
  const mine = loading = new AbortController();
  if (!isOpen()) before = document.activeElement;
  byId("reader-title").textContent = place.title;
  byId("reader-path").textContent = place.path.join(" › ");
  byId("reader-source").hidden = !place.url;
  if (place.url) byId("reader-source").href = place.url;
  byId("reader-text").replaceChildren(...rendered(hit.text ?? "", hit.highlights, { name: place.document, base: place.url, level: 3 }).nodes);
  reader.hidden = false;
  reader.setAttribute("aria-busy", "true");
  document.body.classList.add("reading");
  cover();
  byId("reader-close").focus({ preventScroll: true });
  try {
    const whole = await get(`documents/${encodeURIComponent(place.document)}`, mine.signal);
    if (mine.signal.aborted) return;
    byId("reader-text").replaceChildren(...shown(apart(whole), hit, place));
    bringIntoSight(byId("reader-text"), byId("reader-text").querySelector("mark, .passage"));
  } catch (failure) {
    if (mine.signal.aborted) return;
    if (failure instanceof Error) console.error(failure);
    byId("reader-text").prepend(el("p", { class: "wrong", text: failure.detail ?? "The document cannot be shown." }));
  }
  reader.setAttribute("aria-busy", "false");
}

/* Scroll `box` alone, not the page behind it. */
function bringIntoSight(box, target) {
  if (target) box.scrollTop += target.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
}

/* The code points of a document. Blanks stand for what was between its passages; that were mostly ends of lines. */
function apart({ text, passages }) {
  const points = Array.from(text);
  let at = 0;
  for (const { start, end } of [...passages, { start: points.length, end: points.length }]) {
    if (start > at && !points.slice(at, start).some((point) => /\S/.test(point))) points.fill("\n", at, start);
    at = Math.max(at, end);
  }
  return points;
}

/* `nodes`, with those of the passage in one element. */
function gathered(nodes) {
  const first = nodes.findIndex((node) => node.classList.contains("here"));
  const last = nodes.findLastIndex((node) => node.classList.contains("here"));
  return first < 0 ? nodes : [...nodes.slice(0, first), el("div", { class: "passage" }, nodes.slice(first, last + 1)), ...nodes.slice(last + 1)];
}

function shown(points, { start = 0, end = 0, highlights = [] }, place) {
  const from = Math.max(0, start - AROUND);
  const to = Math.min(points.length, end + AROUND);
  const here = { start: start - from, end: end - from };
  // A hit's highlights count in its text, which starts where the passage does.
  const marks = highlights.map((span) => ({ start: here.start + span.start, end: here.start + span.end }));
  const options = { name: place.document, base: place.url, heading: place.title, here, level: 3 };
  return [
    from > 0 && el("p", { class: "hint", text: "The document begins earlier." }),
    ...gathered(rendered(points.slice(from, to).join(""), marks, options).nodes),
    to < points.length && el("p", { class: "hint", text: "The document goes on." }),
  ].filter(Boolean);
}

/* Close it; the focus, if it has it, goes back to where it was. */
export function closeReader() {
  if (!isOpen()) return;
  loading?.abort();
  const hadFocus = reader.contains(document.activeElement);
  reader.hidden = true;
  document.body.classList.remove("reading");
  cover();
  if (hadFocus && before?.isConnected) before.focus({ preventScroll: true, focusVisible: true });
  closed();
}

byId("reader-close").addEventListener("click", closeReader);
