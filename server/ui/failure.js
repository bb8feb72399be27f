/* What went wrong: each fault once, and what can be done. */

import { byId, el } from "./dom.js";

const LISTED = 20; // errors that a reply names at most

/* Show a failure as api.js throws it; `filtered` says that searching without the filter would help. */
export function showFailure({ title, detail, errors = [], request, again = false, filtered = false }) {
  if (title === undefined) { // a reply of another form than this page was written for
    title = "The page cannot show the reply";
    detail = "It does not have the form this page knows; the browser's console has the fault.";
  }
  byId("failure-title").textContent = title;
  byId("failure-detail").textContent = errors.length ? "" : detail ?? "";
  byId("reasons").replaceChildren(...errors.map(({ field, reason }) => el("li", {}, el("b", { text: field }), ` ${reason}`)),
    ...(errors.length < LISTED ? [] : [el("li", { text: "There may be more." })]));
  byId("retry").hidden = !again;
  byId("drop").hidden = !filtered && !errors.some(({ field }) => /^filter(\.|$)/.test(field));
  byId("request-line").hidden = !request;
  byId("request-id").textContent = request ?? "";
}
