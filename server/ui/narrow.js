/* Facets beside the hits, and the filter in force above them. */

import { byId, el } from "./dom.js";
import { facetsOf, inWords, sameCondition } from "./facets.js";

let base = null; // {of, facets}: those of the last search for the same words without a filter
const wide = matchMedia("(min-width: 68rem)");
const fit = () => { byId("narrow").open = wide.matches; };
wide.addEventListener("change", fit);
fit();

/* Show the facets of `hits`, found for `asked`; `set(filter)` searches with another filter. */
export function showFacets(hits, asked, fields, set) {
  const { query, collection, filter = {} } = asked;
  const isFiltered = Object.keys(filter).length > 0;
  const of = JSON.stringify([collection, query]);
  // What was left out by a filter stays in sight, to choose it instead.
  if (!isFiltered || base?.of !== of) base = { of, facets: facetsOf(hits, fields) };
  const groups = base.facets.map(({ field, values }) => el("fieldset", {}, el("legend", { text: field }),
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
