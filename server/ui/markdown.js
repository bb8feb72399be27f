/* Texts to blocks: Markdown, as far as documentation uses it, and plain text.

   parse(text) gives blocks {type: heading | para | pre | list | quote | table | rule}; their leaves (inline.js) say where
   in `text` they stand, so that spans of the text can be marked in what is shown. */

import { inline, leaf } from "./inline.js";

const DEEPEST = 8; // lists and quotes within each other; deeper ones are text
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+|$)(.*?)\s*#*\s*(?:\{[^{}]*\}\s*)?$/;
const ITEM = /^( {0,3})([-*+•]|\d{1,9}[.)])( {1,4}|\t|$)/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const DELIMITER = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const ADMONITION = /^(?:!!!|\?\?\?\+?)\s+([\w-]+)(?:\s+"([^"]*)")?\s*$/;
const DIRECTIVE = /^(:{3,}|\/{3,})\s*([\w-]*)(?:\s*[|[]?\s*([^\]]*))?\]?\s*$/;
const BULLET = /^ {0,4}[-*•] +(?=\S)/; // in plain text
const DROPPED = /^ {0,3}(?:\[[^\]]{1,200}\]:\s\S|\.\. [\w-]+::|:[\w-]+:\s|<!--.*-->\s*$)/;
const SIGNS = /^#{1,6} \S|^ {0,3}```|\[[^\]\n]+\]\([^)\s]+\)|^ {0,3}\|? *:?-{3,}:? *\||(?:^|\n) {0,3}[-*+] \S.*\n {0,3}[-*+] \S|`[^`\n]+`|\*\*[^*\s][^*\n]*\*\*/m;

/* Whether to read `text` as Markdown, by the name of its document or, where that tells nothing, by its look. */
export function isMarkdown(text, name = "") {
  const [, kind = ""] = /\.(\w{1,8})(?:#.*)?$/.exec(name) ?? [];
  if (/^(?:md|mdx|markdown|rst|ipynb)$/i.test(kind)) return true;
  return !/^(?:html?|txt|text|log|man|py|js|c|xml)$/i.test(kind) && SIGNS.test(text);
}

/* The blocks of `text`. */
export function parse(text, markdown = true) {
  let at = 0;
  const all = text.split("\n").map((line) => {
    const made = { text: line.replace(/\r$/, ""), at };
    at += line.length + 1;
    return made;
  });
  return markdown ? blocks(begunInside(all), 0) : paragraphs(all);
}

/* A passage may begin inside a fence: its first one then closes, and what stands before it is code. */
function begunInside(all) {
  const fences = all.flatMap((line, i) => (FENCE.test(line.text) ? [i] : []));
  const [first] = fences;
  const closes = fences.length % 2 && !FENCE.exec(all[first].text)[2].trim() && first > 0 && !all[first + 1]?.text.trim();
  return closes ? [{ text: FENCE.exec(all[first].text)[1], at: 0 }, ...all] : all;
}

const isBlank = (line) => !line.text.trim();
const cut = (line, n) => ({ text: line.text.slice(n), at: line.at + n });
const indent = (line) => /^ */.exec(line.text)[0].length;

/* Inline nodes of consecutive lines; each line's place in the source is its own. */
function flow(lines) {
  const joined = lines.map((line) => line.text).join("\n");
  const starts = [];
  let from = 0;
  for (const line of lines) {
    starts.push([from, line.at]);
    from += line.text.length + 1;
  }
  // Leaves never span two lines, so moving where each starts is enough.
  const moved = (node) => {
    if (node.kids) return { ...node, kids: node.kids.map(moved) };
    if (node.at === undefined) return node;
    const [first, at] = starts.findLast(([begin]) => begin <= node.at);
    return { ...node, at: node.at - first + at };
  };
  return inline(joined).map(moved);
}

function starts(line) {
  return FENCE.test(line.text) || HEADING.test(line.text) || ITEM.test(line.text) || QUOTE.test(line.text)
    || RULE.test(line.text) || ADMONITION.test(line.text) || DIRECTIVE.test(line.text);
}

function blocks(lines, depth) {
  const found = [];
  let i = 0;
  while (i < lines.length) {
    const [made, next] = isBlank(lines[i]) ? [null, i + 1] : block(lines, i, depth);
    if (made) found.push(...made);
    i = next;
  }
  return found;
}

/* The block that starts at line `i`, as a list, and the line after it. */
function block(lines, i, depth) {
  const line = lines[i];
  let match;
  if ((match = FENCE.exec(line.text))) return fenced(lines, i, match);
  if ((match = HEADING.exec(line.text))) {
    const start = line.text.indexOf(match[2], match[1].length);
    return [[{ type: "heading", level: match[1].length, kids: flow([{ text: match[2], at: line.at + start }]) }], i + 1];
  }
  if (RULE.test(line.text)) return [[{ type: "rule" }], i + 1];
  if (DROPPED.test(line.text)) return [null, i + 1];
  if (line.text.includes("|") && DELIMITER.test(lines[i + 1]?.text ?? "") && lines[i + 1].text.includes("-")) {
    const table = tabled(lines, i);
    if (table) return table;
  }
  if (depth < DEEPEST) {
    if (QUOTE.test(line.text)) return quoted(lines, i, depth);
    if (ITEM.test(line.text)) return listed(lines, i, depth);
    if ((match = ADMONITION.exec(line.text))) return indented(lines, i, depth, match[2] ?? match[1]);
  }
  if ((match = DIRECTIVE.exec(line.text))) {
    const label = match[3]?.trim() || match[2];
    return [label ? [{ type: "para", kids: [{ type: "strong", kids: [leaf("text", label, line.at, 0)] }] }] : null, i + 1];
  }
  if (indent(line) >= 4) return coded(lines, i);
  return para(lines, i);
}

function fenced(lines, i, [, mark, info]) {
  const inner = [];
  const closing = new RegExp(`^\\s*${mark[0]}{${mark.length},}\\s*$`);
  let at = i + 1;
  while (at < lines.length && !closing.test(lines[at].text)) inner.push(lines[at++]);
  return [[codeOf(inner, info.trim().split(/[\s{,]/)[0])], at + 1];
}

function codeOf(lines, lang = "") {
  const kept = [...lines];
  while (kept.length && isBlank(kept[0])) kept.shift();
  while (kept.length && isBlank(kept.at(-1))) kept.pop();
  const by = Math.min(...kept.filter((line) => !isBlank(line)).map(indent), 40);
  return { type: "pre", lang, lines: kept.map((line) => cut(line, Math.min(by, line.text.length))).map((line) => leaf("code", line.text, line.at)) };
}

function coded(lines, i) {
  let end = i;
  while (end < lines.length && (isBlank(lines[end]) || indent(lines[end]) >= 4)) end += 1;
  return [[codeOf(lines.slice(i, end))], end];
}

function para(lines, i) {
  let end = i + 1;
  while (end < lines.length && !isBlank(lines[end]) && !starts(lines[end])) {
    if (/^ {0,3}(=+|-+|~+)\s*$/.test(lines[end].text)) {
      return [[{ type: "heading", level: lines[end].text.includes("=") ? 1 : 2, kids: flow(lines.slice(i, end)) }], end + 1];
    }
    end += 1;
  }
  if (end < lines.length && end === i + 1 && /^ {0,3}-+\s*$/.test(lines[end].text)) {
    return [[{ type: "heading", level: 2, kids: flow(lines.slice(i, end)) }], end + 1];
  }
  const kids = flow(lines.slice(i, end).map((line) => cut(line, indent(line))));
  return [kids.some((kid) => kid.kids || kid.text?.trim()) ? [{ type: "para", kids }] : null, end];
}

function quoted(lines, i, depth) {
  let end = i;
  const inner = [];
  while (end < lines.length && (QUOTE.test(lines[end].text) || (end > i && !isBlank(lines[end]) && !starts(lines[end])))) {
    const [prefix] = QUOTE.exec(lines[end].text) ?? [""];
    const line = cut(lines[end++], prefix.length);
    const [, label] = /^\[!(\w+)\]\s*$/.exec(line.text) ?? [];
    inner.push(label ? { text: `**${label[0]}${label.slice(1).toLowerCase()}**  `, at: line.at } : line);
  }
  return [[{ type: "quote", kids: blocks(inner, depth + 1) }], end];
}

function indented(lines, i, depth, label) {
  let end = i + 1;
  const inner = [];
  while (end < lines.length && (isBlank(lines[end]) || indent(lines[end]) >= 4)) {
    inner.push(isBlank(lines[end]) ? lines[end] : cut(lines[end], 4));
    end += 1;
  }
  const title = { type: "para", kids: [{ type: "strong", kids: [leaf("text", label[0].toUpperCase() + label.slice(1), lines[i].at, 0)] }] };
  return [[{ type: "quote", kids: [title, ...blocks(inner, depth + 1)] }], end];
}

function listed(lines, i, depth) {
  const ordered = /\d/.test(ITEM.exec(lines[i].text)[2]);
  const items = [];
  let at = i;
  while (at < lines.length) {
    const match = ITEM.exec(lines[at].text);
    if (!match || /\d/.test(match[2]) !== ordered || RULE.test(lines[at].text)) break;
    const width = match[0].length || 2;
    const inner = [cut(lines[at], match[0].length)];
    at += 1;
    while (at < lines.length) {
      const line = lines[at];
      if (isBlank(line)) {
        const next = lines.slice(at).find((one) => !isBlank(one));
        if (!next || indent(next) < Math.min(width, 2)) break;
        inner.push(line);
      } else if (indent(line) >= Math.min(width, 2)) {
        inner.push(cut(line, Math.min(indent(line), width)));
      } else if (starts(line) || isBlank(lines[at - 1])) break;
      else inner.push(line);
      at += 1;
    }
    const [, box] = /^\[([ xX])\]\s/.exec(inner[0].text) ?? [];
    if (box) inner[0] = cut(inner[0], 4);
    items.push({ kids: blocks(inner, depth + 1), task: box && (box === " " ? "☐ " : "☑ ") });
    while (at < lines.length && isBlank(lines[at]) && ITEM.test(lines[at + 1]?.text ?? "")) at += 1;
  }
  const start = ordered ? Number(/\d+/.exec(lines[i].text)[0]) : undefined;
  return [[{ type: "list", ordered, start, items }], at];
}

/* The cells of a row, each as a line. */
function cells(line) {
  const found = [];
  const edge = /^\s*\|?/.exec(line.text)[0].length;
  const pattern = /((?:\\.|[^\\|]){0,4000}?)(?:\||$)/y;
  pattern.lastIndex = edge;
  for (let match; pattern.lastIndex < line.text.length && (match = pattern.exec(line.text)) && match[0];) {
    const lead = /^\s*/.exec(match[1])[0].length;
    found.push({ text: match[1].trim(), at: line.at + match.index + lead });
  }
  return found;
}

function tabled(lines, i) {
  const head = cells(lines[i]);
  if (head.length !== cells(lines[i + 1]).length) return null;
  const rows = [];
  let end = i + 2;
  while (end < lines.length && !isBlank(lines[end]) && lines[end].text.includes("|")) {
    const row = cells(lines[end++]);
    rows.push(head.map((_, column) => ({ kids: row[column] ? flow([row[column]]) : [] })));
  }
  return [[{ type: "table", head: head.map((cell) => ({ kids: flow([cell]) })), rows }], end];
}

/* Plain text: paragraphs, lists, and what is indented as it stands. Short lines keep their ends; long ones flow. */
function paragraphs(lines) {
  const found = [];
  let i = 0;
  while (i < lines.length) {
    let end = i + 1;
    while (end < lines.length && !isBlank(lines[end]) && !BULLET.test(lines[end].text)) end += 1;
    const group = lines.slice(i, end);
    const [bullet = ""] = BULLET.exec(lines[i].text) ?? [];
    if (isBlank(lines[i])) end = i + 1;
    else if (bullet) {
      const item = { kids: [flowing([cut(group[0], bullet.length), ...group.slice(1)])] };
      if (found.at(-1)?.type === "list") found.at(-1).items.push(item);
      else found.push({ type: "list", ordered: false, items: [item] });
    } else found.push(group.length > 1 && group.every((line) => indent(line) >= 4) ? codeOf(group) : flowing(group));
    i = end;
  }
  return found;
}

function flowing(group) {
  const kept = Math.max(...group.map((line) => line.text.length)) < 60;
  return { type: "para", kids: group.flatMap((line, n) => [
    ...(n ? [kept ? { type: "br" } : leaf("text", " ", line.at, 0)] : []),
    leaf("text", line.text.slice(indent(line)), line.at + indent(line)),
  ]) };
}

/* What the `nodes` show, without any syntax. */
export function plain(nodes) {
  return nodes.map((node) => {
    if (node.text !== undefined) return node.text;
    if (node.type === "br") return " ";
    if (node.lines) return node.lines.map((line) => line.text).join("\n");
    if (node.items) return node.items.map((item) => plain(item.kids)).join("\n");
    if (node.rows) return [node.head, ...node.rows].map((row) => row.map((cell) => plain(cell.kids)).join(" ")).join("\n");
    return plain(node.kids ?? []);
  }).join(nodes[0]?.type && ["heading", "para", "pre", "list", "quote", "table", "rule"].includes(nodes[0].type) ? "\n" : "");
}

/* A heading or a title as it reads: its Markdown without syntax. */
export const words = (text) => plain(inline(text)).replace(/\s+/g, " ").trim();
