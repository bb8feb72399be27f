/* Elements, made of text and never of markup: every text from the server enters the page here. */

export const byId = (id) => document.getElementById(id);

/* An element with attributes and properties (`on...`, `class`, `text`), and `kids`: nodes, texts or nothing. */
export function el(tag, given = {}, ...kids) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "text") made.textContent = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...kids.flat(Infinity).filter((kid) => kid !== null && kid !== undefined && kid !== false));
  return made;
}

export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
export const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString("en")}\u00a0ms`;

/* A button that opens and closes what `panel` is, and says so. */
export function discloses(button, panel, onOpen = () => {}) {
  const set = (open) => {
    panel.hidden = !open;
    button.setAttribute("aria-expanded", open);
    if (open) onOpen();
  };
  button.addEventListener("click", () => set(panel.hidden));
  return set;
}

/* The address `given` if it may be a link, made whole by `base` where it is relative; "" where not. */
export function safeLink(given, base = "") {
  try {
    const made = new URL(given, base || undefined);
    return /^(?:https?|mailto):$/.test(made.protocol) ? made.href : "";
  } catch {
    return "";
  }
}
