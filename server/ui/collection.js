/* What is searched: the facts of a collection, and the switch between several. */

import { collections } from "./api.js";
import { byId, el, plural } from "./dom.js";

/* Show what GET /v1/bundle says, and only those options that it can do. */
export function showCollection(known) {
  byId("bundle").textContent = `${known.name} · ${plural(known.passages, "passage")}`;
  byId("size").textContent = plural(known.passages, "passage");
  byId("ways").textContent = [known.encoder && "by meaning", known.lexical && "by words"].filter(Boolean).join(" and ");
  byId("rank-option").hidden = !known.tokens;
  byId("retrieve-option").hidden = !known.lexical || !known.encoder;
  byId("facts").replaceChildren(...facts(known).flatMap(([name, text]) => [el("dt", { text: name }), el("dd", { text })]));
}

function facts(known) {
  return [
    ["Collection", known.name],
    ["Size", `${plural(known.passages, "passage")}, ${(known.bytes / 1e6).toLocaleString("en", { maximumFractionDigits: known.bytes < 1e7 ? 1 : 0 })} MB`],
    ["Found by", [known.encoder && "meaning", known.lexical && "words"].filter(Boolean).join(" and ")],
    ...(known.encoder ? [["Encoder", known.encoder.name]] : []),
    ...(known.reader ? [["Answers", "to questions, where one is likely right"]] : []),
  ];
}

/* A switch between collections, where there is more than one; a server of another version has no such list. */
export async function showCollections(current) {
  if (byId("collection").options.length) return;
  const { collections: all = [] } = await collections().catch(() => ({}));
  const box = byId("collection");
  box.replaceChildren(...all.map((one) => el("option", { value: one.default ? "" : one.name, text: `${one.name} (${one.passages.toLocaleString("en")})` })));
  box.value = current;
  box.parentElement.hidden = all.length < 2;
  byId("bundle").hidden = all.length > 1;
}
