/* The field for an API key, shown where the server wants one. */

import { keepKey } from "./api.js";
import { byId } from "./dom.js";

let afterKey = null; // what the server refused for want of a key, to do again with one
let focused = null; // what had the focus before the key was asked for

/* Ask for a key, for a failure for want of one; `again` is what to do with it. */
export function askKey({ detail, keyed }, again = null) {
  afterKey = again ?? afterKey;
  byId("key-wrong").textContent = keyed ? detail : "";
  if (!byId("key-form").hidden) return;
  focused = document.activeElement;
  byId("key-form").hidden = false;
  byId("key").focus();
}

export function closeKey() {
  byId("key-form").hidden = true;
  byId("key").value = "";
  const again = afterKey;
  afterKey = null;
  return again;
}

/* Call `then` once a key was given, before what was refused for want of one is done again. */
export function onKey(then) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = byId("key").value.trim();
    if (!/^[!-~]+$/.test(given)) {
      byId("key-wrong").textContent = "A key is made of ASCII letters, digits and signs, without spaces.";
      return;
    }
    keepKey(given);
    const again = closeKey();
    (focused?.isConnected ? focused : byId("query")).focus();
    then();
    again?.();
  });
}
