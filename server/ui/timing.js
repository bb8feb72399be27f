/* The grey line's time, and behind it what each stage took. */

import { byId, discloses, el, milliseconds } from "./dom.js";

// A stage keeps its colour whatever other stages a reply has.
const STAGES = ["queue", "encode", "retrieve_dense", "fuse", "rank", "fetch", "explain", "read", "retrieve_lexical", "retrieve_neighbours", "group"];

/* Opens and closes the stages. */
export const openStages = discloses(byId("time"), byId("timing"));

export function showTimings({ total, ...stages }) {
  byId("time").textContent = milliseconds(total);
  byId("time").hidden = false;
  const others = Object.keys(stages).filter((name) => !STAGES.includes(name));
  const names = Object.keys(stages); // in the order in which they ran
  const coloured = (made, name) => {
    made.style.setProperty("background", `var(--stage-${[...STAGES, ...others].indexOf(name) % STAGES.length})`);
    return made;
  };
  byId("stages").replaceChildren(...names.map((name) => {
    const part = coloured(el("span"), name);
    // Of the total: what no stage accounts for stays bare.
    part.style.setProperty("width", `${(100 * stages[name]) / Math.max(total, 1e-9)}%`);
    return part;
  }));
  byId("legend").replaceChildren(
    ...names.map((name) => el("li", {}, coloured(el("i"), name), `${name} `, el("b", { text: milliseconds(stages[name]) }))),
    el("li", { class: "total" }, "total ", el("b", { text: milliseconds(total) })));
}
