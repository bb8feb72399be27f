/* Facets beside the hits, and the filter in force above them. */

import { get } from "./api.js";
import { byId, el } from "./dom.js";
import { ASKED, facetsFrom, inWords, sameCondition } from "./facets.js";

let base = null; // {of, hits}: those of the last search for the same words without a filter
let counts = null; // {of, counted}: the promise of what the server counted last
let latest = null; // the call that shows facets
const MOST_FIELDS = 16; // of one request
const wide = matchMedia("(min-width: 68rem)");
const fit = () => { byId("narrow").open = wide.matches; };
wide.addEventListener("change", fit);
fit();

/* Show the facets beside `hits`, found for `asked`; `set(filter)` searches with another filter. */
export async function showFacets(hits, asked, fields, set) {
  const mine = latest = {};
  const { query, collection, filter = {} } = asked;
  const isFiltered = Object.keys(filter).length > 0;
  const of = JSON.stringify([collection, query]);
  // What was left out by a filter stays in sight, to choose it instead.
  if (!isFiltered || base?.of !== of) base = { of, hits };
  const facets = facetsFrom(await count(collection, filter, fields), base.hits, fields);
  if (mine !== latest || byId("results").hidden) return;
  const shown = facets.filter((one) => one.shown).map(({ field }) => field);
  const others = shown.length ? `, but for ${shown.join(", ")}: of the passages shown` : "";
  byId("counts").textContent = shown.length === facets.length ? "Counts are of the passages shown." : `Counts are of the whole collection${others}.`;
  const groups = facets.map(({ field, values }) => el("fieldset", {}, el("legend", { text: field }),
    values.map(({ label, condition, count }) => {
      const isOn = sameCondition(filter[field], condition);
      return el("button", { type: "button", class: "facet", "aria-pressed": String(isOn), onclick: () => set(changed(filter, field, isOn ? undefined : condition)) },
        el("span", { dir: "auto", text: label }), el("small", { text: count }));
    })));
  const focused = document.activeElement?.closest(".facet")?.textContent;
  byId("facets").replaceChildren(...groups);
  if (focused) [...byId("facets").querySelectorAll(".facet")].find((one) => one.textContent === focused)?.focus();
  byId("narrow").hidden = !groups.length;
}

/* What the server counts of `fields`: under the filter, and of a field in it under the other conditions, so that what it
   leaves out can be seen. Nothing where the server cannot tell. */
function count(collection, filter, fields) {
  const of = JSON.stringify([collection, filter, fields]);
  if (counts?.of === of) return counts.counted;
  const asked = (some, conditions) => {
    const parameters = [...some.map((field) => ["field", field]), ["limit", ASKED], ["filter", JSON.stringify(conditions)]];
    return some.length ? get(`facets?${new URLSearchParams(parameters)}`).then((reply) => reply.facets) : [];
  };
  const free = fields.filter((field) => !(field in filter)).slice(0, MOST_FIELDS);
  const parts = [asked(free, filter), ...Object.keys(filter).map((field) => asked([field], changed(filter, field)))];
  const counted = Promise.all(parts).then((found) => found.flat()).catch(() => []);
  counts = { of, counted };
  return counted;
}

/* Show the filter in force as buttons that drop a condition each. */
export function showFilter(filter = {}, set) {
  byId("filter").replaceChildren(...Object.entries(filter).map(([field, condition]) => {
    const text = inWords(field, condition);
    return el("button", { type: "button", class: "condition", "aria-label": `Without the filter ${text}`, onclick: () => set(changed(filter, field)) },
      el("span", { dir: "auto", text }), el("i", { "aria-hidden": "true", text: "×" }));
  }));
}

function changed(filter, field, condition) {
  const { [field]: _, ...others } = filter;
  return condition === undefined ? others : { ...others, [field]: condition };
}
