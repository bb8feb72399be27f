/* Blocks and leaves (markdown.js) to elements, with spans of the source in mark elements. */

import { el, safeLink } from "./dom.js";
import { isMarkdown, parse, words } from "./markdown.js";
import { clip, excerpt, leaves, pieces, toUnits } from "./spans.js";

/* What `text` shows: {nodes, cut}. `spans` count code points. With `size`, an excerpt around the first span.
   Options: name, of the document; base, for relative links; heading, which a leading heading repeats; here, a span whose
   blocks get the class `here`; headings, the level that the text's first one gets. */
export function rendered(text, spans = [], { size, name = "", base = "", heading = "", here, level = 4 } = {}) {
  const marks = toUnits(text, [...spans].sort((a, b) => a.start - b.start));
  let blocks = parse(text, isMarkdown(text, name));
  const first = blocks[0];
  if (first?.type === "heading" && heading && words(text.slice(...extent(first))) === heading) blocks = blocks.slice(1);
  let cut = false;
  if (size) {
    const [from, to] = excerpt(text, marks, size);
    cut = from > 0 || to < text.length;
    if (cut) blocks = clip(blocks, from, to);
    if (cut && from > 0) blocks = edged(blocks, "… ", true);
    if (cut && to < text.length) blocks = edged(blocks, " …", false);
  }
  const context = { marks, base, level, here: here && toUnits(text, [here])[0] };
  return { nodes: blocks.map((block) => shown(block, context)), cut };
}

function extent(node) {
  const all = leaves([node]);
  return [Math.min(...all.map((one) => one.at)), Math.max(...all.map((one) => one.at + one.width))];
}

/* `blocks` with dots where their text was cut. */
function edged(blocks, dots, isFirst) {
  const at = isFirst ? 0 : blocks.length - 1;
  const block = blocks[at];
  const dot = { type: "text", text: dots, at: -1, width: 0 };
  if (block?.type === "list") {
    const place = isFirst ? 0 : block.items.length - 1;
    const item = block.items[place];
    return blocks.with(at, { ...block, items: block.items.with(place, { ...item, kids: edged(item.kids, dots, isFirst) }) });
  }
  if (block?.type !== "para") return blocks;
  return blocks.with(at, { ...block, kids: isFirst ? [dot, ...block.kids] : [...block.kids, dot] });
}

function shown(node, context) {
  const made = make(node, context);
  if (context.here && node.type !== "rule") {
    const [from, to] = extent(node);
    if (from < context.here.end && to > context.here.start) made.classList.add("here");
  }
  return made;
}

function make(node, context) {
  const kids = (nodes) => nodes.map((one) => make(one, context));
  switch (node.type) {
    case "heading": return el(`h${Math.min(6, context.level)}`, { class: `of-${node.level}`, dir: "auto" }, kids(node.kids));
    case "para": return el("p", { dir: "auto" }, kids(node.kids));
    // It scrolls sideways, so the keyboard has to reach it.
    case "pre": return el("pre", { tabindex: "0", "data-lang": node.lang || undefined, dir: "ltr" },
      el("code", {}, node.lines.flatMap((line, i) => [i ? "\n" : null, ...marked(line, context)])));
    case "quote": return el("blockquote", {}, kids(node.kids));
    case "rule": return el("hr");
    case "list": return el(node.ordered ? "ol" : "ul", { start: node.ordered && node.start !== 1 ? node.start : undefined, dir: "auto" },
      node.items.map((item) => el("li", { class: item.task && "task" }, item.task, tight(item.kids, context))));
    case "table": return el("div", { class: "wide", tabindex: "0" }, el("table", {},
      node.head.some((cell) => cell.kids.length) && el("thead", {}, el("tr", {}, node.head.map((cell) => el("th", { dir: "auto" }, kids(cell.kids))))),
      el("tbody", {}, node.rows.map((row) => el("tr", {}, row.map((cell) => el("td", { dir: "auto" }, kids(cell.kids))))))));
    default: return inlineNode(node, context, kids);
  }
}

/* An item of one paragraph is that text; one of more blocks is these. */
function tight(blocks, context) {
  const [first, ...rest] = blocks;
  if (first?.type !== "para") return blocks.map((block) => make(block, context));
  return [...first.kids.map((kid) => make(kid, context)), ...rest.map((block) => make(block, context))];
}

function inlineNode(node, context, kids) {
  switch (node.type) {
    case "br": return el("br");
    case "code": return el("code", {}, marked(node, context));
    case "link": {
      const href = /^[a-z][\w+.-]*:/i.test(node.href) || context.base ? safeLink(node.href, context.base) : "";
      return href ? el("a", { href, target: "_blank", rel: "noopener noreferrer" }, kids(node.kids)) : el("span", {}, kids(node.kids));
    }
    case "text": {
      const made = document.createDocumentFragment();
      made.append(...marked(node, context));
      return made;
    }
    default: return el(node.type, {}, kids(node.kids)); // strong, em, del
  }
}

const marked = (leaf, { marks }) => pieces(leaf, marks).map(([text, isMarked]) => (isMarked ? el("mark", { text }) : text));

/* A sentence's inline nodes, as one paragraph would have them, with `spans` marked. */
export function renderedLine(text, spans) {
  return rendered(text, spans, { size: 600 }).nodes.flatMap((node) => [...node.childNodes]);
}
