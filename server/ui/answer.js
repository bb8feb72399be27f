/* The answer above the hits: a whole sentence of a passage with the words that answer marked, if one is likely right. */

import { el } from "./dom.js";
import { placeOf } from "./places.js";
import { renderedLine } from "./render.js";

const SURE = 0.7; // from this probability on an answer is shown
const SURER = 0.9;

/* Whether `text` is a word or more: two letters, a number, or a sign that is a word of its own. */
const isWord = (text) => /[\p{L}\p{M}]{2}|\p{N}|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u.test(text);

/* The best of a reply's answers if it is sure, else null. */
export function sureAnswer({ answered, answers = [] }) {
  const [best] = answers;
  return answered && best && best.score >= SURE && isWord(best.text) ? best : null;
}

/* `best` as an element; `goTo` leads to its passage, null where that is no hit. */
export function makeAnswer(best, { degraded = [], calibrated = false }, goTo) {
  const { score, passage, sentence } = best;
  // Both count in the passage's part; here the sentence is all there is.
  const span = { start: best.start - sentence.start, end: best.end - sentence.start };
  const { title, section } = placeOf(passage);
  const where = [title, ...section].join(" › ");
  const sure = score >= SURER ? "Very likely right" : "Likely right";
  const basis = calibrated ? "" : ", not measured on this collection";
  const hurry = degraded.includes("read") ? "; time was too short to read all passages" : "";
  return el("div", { class: "found" },
    el("blockquote", { class: "said", dir: "auto" }, renderedLine(sentence.text, [span])),
    el("p", { class: "source" },
      goTo ? el("button", { type: "button", class: "link", dir: "auto", "aria-label": `Go to the passage ${where}`, text: where, onclick: goTo })
        : el("span", { dir: "auto", text: where }),
      el("span", { class: "sure", title: `${Math.round(100 * score)} %`, text: ` · ${sure}${basis}${hurry}.` })));
}
