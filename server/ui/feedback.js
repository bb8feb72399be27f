/* Saying which passage answers: quietly, once, and with a way back. */

import { post, remove } from "./api.js";
import { el } from "./dom.js";

const PAGE = crypto.getRandomValues(new Uint32Array(4)).join("-");
const judgements = new Map(); // by what is sent: {body, key, sent}, `sent` the promise of the reply
let keys = 0;

/* The judgement that a passage answers a query, the same one however often both are shown. */
function judgementOf(query, passage, bundle) {
  const body = { pairs: [{ query, passage }], bundle };
  const id = JSON.stringify(body);
  if (!judgements.has(id)) judgements.set(id, { body, key: null, sent: null });
  return judgements.get(id);
}

/* A number stands for the pair in its key, which may be neither long nor other than ASCII. After a fault the same key is
   sent again, so that the pair counts once; after an undo there is a new one. */
async function send(judgement) {
  judgement.key ??= `${PAGE}-${keys++}`;
  const { refused } = await post("feedback", judgement.body, { headers: { "Idempotency-Key": judgement.key } });
  if (refused.length) throw { detail: refused[0].reason };
}

async function takeBack(judgement) {
  await remove(`feedback?${new URLSearchParams({ keys: judgement.key })}`);
  Object.assign(judgement, { key: null, sent: null });
}

/* "This answers it" for a hit of `query`; `askKey(failure, again)` asks for a key that may judge. */
export function verdict(hit, title, { query, bundle, askKey }) {
  const judgement = judgementOf(query, hit.id, bundle);
  const said = el("span", { role: "status" });
  const button = el("button", { type: "button", class: "quiet", onclick: press });
  const made = el("span", { class: "verdict" }, said, button);

  function show(isGiven) {
    made.classList.toggle("given", isGiven);
    said.className = "";
    said.textContent = isGiven ? "Noted." : "";
    button.textContent = isGiven ? "Undo" : "This answers it";
    button.setAttribute("aria-label", isGiven ? `Undo: ${title} answers it` : `This answers it: ${title}`);
  }

  async function press() {
    if (button.getAttribute("aria-disabled") === "true") return;
    const undoes = judgement.sent !== null;
    button.setAttribute("aria-disabled", true); // a disabled one would lose the focus
    try {
      if (undoes) await takeBack(judgement);
      else await (judgement.sent = send(judgement));
      show(!undoes);
      if (undoes) said.textContent = "Taken back.";
    } catch (failure) {
      if (!undoes) judgement.sent = null;
      made.classList.add("given"); // stays in sight
      if (failure.status !== 401) {
        said.className = "wrong";
        said.textContent = failure.detail ?? failure.message;
      }
      // 403 with a key: it may search, and another one give feedback.
      if (failure.status === 401 || (failure.status === 403 && failure.keyed)) askKey(failure, press);
    } finally {
      button.setAttribute("aria-disabled", false);
    }
  }

  show(judgement.sent !== null);
  return made;
}
