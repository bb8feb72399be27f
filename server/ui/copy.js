/* "Copy as curl". */

import { byId } from "./dom.js";

export async function copyCommand(command) {
  try {
    await navigator.clipboard.writeText(command);
  } catch { // plain HTTP from another machine has no clipboard: show what was to be copied
    byId("curl-text").value = command;
    byId("curl").hidden = false;
    byId("curl-text").select();
    return;
  }
  byId("copy").textContent = "Copied";
  setTimeout(() => { byId("copy").textContent = "Copy as curl"; }, 1500);
}
