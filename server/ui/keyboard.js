/* The keyboard: to the box, through the hits, back. */

import { byId } from "./dom.js";
import { closeReader, isOpen } from "./reader.js";

/* Bring `target` into sight and give it the focus. */
export function goTo(target) {
  target.focus({ preventScroll: true, focusVisible: true });
  (target.closest(".hit") ?? byId("form")).scrollIntoView({ block: "nearest" });
}

function move(step) {
  const names = [...byId("hits").querySelectorAll(".name")];
  const at = names.indexOf(document.activeElement?.closest(".hit")?.querySelector(".name"));
  const next = at < 0 ? (step > 0 ? 0 : -1) : at + step;
  const target = next < 0 ? byId("query") : names[next];
  if (!target || byId("results").hidden) return false;
  goTo(target);
  return true;
}

/* Listen; `afresh` empties the page. */
export function listen(afresh) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const inBox = event.target === byId("query");
    const writing = event.target.matches("input, textarea, select");
    let done = false;
    if (event.key === "Escape" && isOpen()) {
      closeReader();
      done = true;
    } else if (event.key === "Escape" && (inBox || !writing)) {
      afresh();
      done = true;
    } else if (event.key === "/" && !writing) {
      byId("query").focus();
      byId("query").select();
      done = true;
    } else if (byId("reader").contains(event.target)) {
      return;
    } else if (event.key === "ArrowDown" ? inBox || !writing : event.key === "j" && !writing) {
      done = move(1);
    } else if ((event.key === "ArrowUp" || event.key === "k") && !writing) {
      done = move(-1);
    }
    if (done) event.preventDefault();
  });
}
