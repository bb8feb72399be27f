/* A document that was found: its title and section, its best passage as it reads, and what else it has. */

import { discloses, el, plural } from "./dom.js";
import { verdict } from "./feedback.js";
import { placeOf } from "./places.js";
import { rendered } from "./render.js";
import { why } from "./why.js";

const FIRST = 420; // characters of a document's best passage,
const OTHERS = 220; // and of its next ones
const SHOWN = 3; // passages of a document before "more of this page"

let made = 0; // numbers for ids

/* A list item for {document, hits}. `context`: query, bundle, debug, feedback, also, open(hit, place), askKey, alignment(id). */
export function makeDocument({ hits }, context) {
  const places = hits.map(placeOf);
  const item = el("li", { class: "document" });
  const parts = hits.map((hit, i) => passage(hit, places[i], i === 0, { ...context, further: hit.start < hits[0].start ? "Earlier on this page" : "Further on" }));
  const rest = parts.slice(SHOWN);
  item.append(...parts.slice(0, SHOWN));
  if (rest.length) {
    const more = el("button", { type: "button", class: "link rest", text: `${plural(rest.length, "more passage")} of this page` });
    more.addEventListener("click", () => {
      more.replaceWith(...rest);
      rest[0].querySelector(".name").focus({ focusVisible: true });
    });
    item.append(more);
  }
  return item;
}

/* The link that opens where a passage stands: its source if there is an address, else the document in this page. */
function nameLink(hit, place, isFirst, context) {
  const [title, section] = [place.title, place.section.join(" › ")];
  const text = isFirst ? [el("span", { text: title }), section && [el("i", { text: " › " }), el("span", { class: "of", text: section })]]
    : section || context.further || title;
  if (place.url) return el("a", { class: "name", dir: "auto", href: place.url, target: "_blank", rel: "noopener noreferrer" }, text);
  return el("a", { class: "name", dir: "auto", href: context.address(hit.id), onclick: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    context.open(hit, place);
  } }, text);
}

function passage(hit, place, isFirst, context) {
  const id = `hit-${++made}`;
  const heading = place.section.at(-1) ?? place.title;
  const options = { name: place.document, base: place.url, heading, level: isFirst ? 4 : 5 };
  const size = isFirst ? FIRST : OTHERS;
  const body = el("div", { class: "text", id });
  const { nodes, cut } = rendered(hit.text ?? "", hit.highlights, { ...options, size });
  body.append(...nodes);

  const foot = el("div", { class: "foot" });
  if (cut) {
    const more = el("button", { type: "button", class: "link more", "aria-controls": id, "aria-expanded": "false", text: "Show more" });
    more.addEventListener("click", () => {
      const open = more.getAttribute("aria-expanded") === "false";
      body.replaceChildren(...rendered(hit.text, hit.highlights, open ? options : { ...options, size }).nodes);
      more.setAttribute("aria-expanded", open);
      more.textContent = open ? "Show less" : "Show more";
    });
    foot.append(more);
  }
  if (place.url) foot.append(el("button", { type: "button", class: "link read", text: "Read here", "aria-label": `Read here: ${place.title}`, onclick: () => context.open(hit, place) }));
  const [panel, button] = explained(hit, place, context);
  foot.append(button);
  if (context.feedback) foot.append(verdict(hit, [place.title, ...place.section].join(" › "), context));

  return el("article", { class: isFirst ? "hit first" : "hit", "data-passage": hit.id },
    isFirst && place.path.length > 0 && el("p", { class: "path", dir: "auto" }, place.path.flatMap((part, i) => [i ? el("i", { text: " › " }) : null, part])),
    el(isFirst ? "h3" : "h4", { class: !hit.title && !place.path.length && "untitled" }, nameLink(hit, place, isFirst, context)),
    body,
    same(hit, context),
    foot,
    panel);
}

function explained(hit, place, context) {
  const panel = el("div", { class: "why", hidden: true });
  const button = el("button", { type: "button", class: "quiet ask", "aria-expanded": "false", text: "Why?", "aria-label": `Why? ${place.title}` });
  const set = discloses(button, panel, () => {
    if (!panel.firstChild) panel.append(why(hit, context.query, context.alignment?.(hit.id)));
  });
  if (context.debug) set(true);
  return [panel, button];
}

/* Where else this text stands. */
function same(hit, context) {
  const folded = context.also.get(hit) ?? [];
  const others = hit.duplicates ?? 0;
  if (!folded.length && !others) return null;
  const links = folded.slice(0, 3).flatMap((one, i) => {
    const place = placeOf(one);
    const link = nameLink(one, { ...place, title: place.path.join(" › ") || place.title, section: [] }, false, { ...context, further: "" });
    link.className = "also";
    return [i ? ", " : "The same in ", link];
  });
  const more = folded.length - Math.min(3, folded.length) + others;
  const text = more ? `${links.length ? " and " : "The same text in "}${plural(more, links.length ? "more" : "more passage").replace("mores", "more")}` : "";
  return el("p", { class: "same" }, links, text);
}
