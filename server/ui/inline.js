/* Markdown within a line: text to leaves that know where in the source they stand.

   A leaf is {type: "text" | "code", text, at, width}: `at` is where it starts in the source and `width` how much of the
   source it is, in UTF-16 units; `width` is the length of `text` but for entities. Other nodes have `kids`. Nothing here
   makes elements, and no pattern repeats without a bound, so that a hostile text costs no more than a long one. */

const SPECIAL = /[\\`*_[!<&~\n]|https?:\/\/|:(?=[\w+.-]{1,30}:`)/g;
const TAG = new RegExp(
  "^</?(?:a|abbr|b|big|blockquote|br|center|code|dd|del|details|div|dl|dt|em|figcaption|figure|font|h[1-6]|hr|i|img|ins|kbd"
  + "|li|mark|ol|p|picture|pre|q|s|samp|section|small|source|span|strong|sub|summary|sup|table|tbody|td|th|thead|tr|tt|u|ul"
  + "|var|video)(?:\\s[^<>]{0,600})?/?>", "i",
);
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: "\"", apos: "'", nbsp: "\u00a0", copy: "©", mdash: "—", ndash: "–", hellip: "…", rarr: "→", larr: "←", times: "×" };
const HREF = String.raw`\(\s{0,9}<?([^\s()<>]{0,900}(?:\([^\s()]{0,300}\)[^\s()<>]{0,300})?)>?(?:\s{1,9}(?:"[^"]{0,300}"|'[^']{0,300}'))?\s{0,9}\)`;
const LABEL = String.raw`\[((?:[^[\]]|\[[^[\]]{0,200}\]){0,500})\]`;
const WORD = String.raw`[\p{L}\p{N}_]`;

/* Each rule: what it starts with, its pattern at that place, and what it makes of the match. `inside` parses a group. */
const RULES = [
  ["\\", /\\([!-/:-@[-`{-~])/uy, (m, at) => [leaf("text", m[1], at + 1)]],
  ["\\", /\\\n/y, () => [{ type: "br" }]],
  ["`", /(?<!`)(`{1,9})(?!`)([\s\S]{1,2000}?)(?<!`)\1(?!`)/y, (m, at) => code(m[2], at + m[1].length)],
  [":", /:[\w+.-]{1,30}:`([^`]{1,300})`/y, (m, at) => code(m[1].replace(/\s*<[^<>]*>$/, "") || m[1], at + m[0].length - 1 - m[1].length)],
  ["!", new RegExp(`!${LABEL}(?:${HREF}|\\[[^\\]]{0,200}\\])`, "uy"), (m, at, inside) => [{ type: "em", kids: inside(m[1], at + 2) }]],
  ["[", /\[\^[^\]\s]{1,40}\]/y, () => []],
  ["[", new RegExp(LABEL + HREF, "uy"), (m, at, inside) => [{ type: "link", href: m[2], kids: inside(m[1], at + 1) }]],
  ["[", new RegExp(`${LABEL}\\[[^\\[\\]]{0,200}\\]`, "uy"), (m, at, inside) => inside(m[1], at + 1)],
  ["<", /<(https?:\/\/[^\s<>]{1,900})>/y, (m, at) => [{ type: "link", href: m[1], kids: [leaf("text", m[1], at + 1)] }]],
  ["<", /<br\s*\/?>/iy, () => [{ type: "br" }]],
  ["<", /<!--[\s\S]{0,4000}?-->/y, () => []],
  ["<", TAG, () => []],
  ["&", /&(?:#(\d{1,6})|#x([\da-f]{1,5})|([a-z]{2,6}));/iy, (m, at) => entity(m, at)],
  ["h", /https?:\/\/[^\s<>"'`|\])]{1,900}/y, (m, at) => bare(m[0], at)],
  ["~", /~~(?=\S)([\s\S]{0,600}?\S)~~/y, (m, at, inside) => [{ type: "del", kids: inside(m[1], at + 2) }]],
  ["*", /\*\*(?=\S)([\s\S]{0,400}?\S)\*\*(?!\*)/y, (m, at, inside) => [{ type: "strong", kids: inside(m[1], at + 2) }]],
  ["_", new RegExp(`(?<!${WORD})__(?!\\w{1,80}__)(?=\\S)([\\s\\S]{0,400}?\\S)__(?!${WORD})`, "uy"), (m, at, inside) => [{ type: "strong", kids: inside(m[1], at + 2) }]],
  ["*", /\*(?=[^\s*])([^*]{0,400}?[^\s*])\*(?!\*)/y, (m, at, inside) => [{ type: "em", kids: inside(m[1], at + 1) }]],
  ["_", new RegExp(`(?<!${WORD})_(?=[^\\s_])([^_]{0,400}?[^\\s_])_(?!${WORD})`, "uy"), (m, at, inside) => [{ type: "em", kids: inside(m[1], at + 1) }]],
];

export const leaf = (type, text, at, width = text.length) => ({ type, text, at, width });

/* A code span, without the blank that Markdown allows at its ends; broken at line ends. */
function code(text, at) {
  const cut = /^ .*\S.* $/s.test(text) ? 1 : 0;
  return lines(text.slice(cut, text.length - cut), at + cut, "code");
}

function bare(address, at) {
  const text = address.replace(/[.,;:!?*_]+$/, "");
  return [{ type: "link", href: text, kids: [leaf("text", text, at)] }, ...lines(address.slice(text.length), at + text.length)];
}

function entity([all, decimal, hexadecimal, name], at) {
  const number = decimal ? Number(decimal) : parseInt(hexadecimal ?? "0", 16);
  const text = name ? ENTITIES[name.toLowerCase()] : number > 31 && number < 0x110000 ? String.fromCodePoint(number) : undefined;
  return [text === undefined ? leaf("text", all, at) : leaf("text", text, at, all.length)];
}

/* Text without syntax as leaves, one a line, with a blank of its own where a line ends. */
function lines(text, at, type = "text") {
  const found = [];
  for (const part of text.split(/(\n)/)) {
    if (part) found.push(part === "\n" ? leaf(type, " ", at) : leaf(type, part, at));
    at += part.length;
  }
  return found;
}

/* The nodes of `text`, which stands at `at` in what is parsed. */
export function inline(text, at = 0, depth = 0) {
  if (depth > 6) return lines(text, at);
  const nodes = [];
  const inside = (part, where) => inline(part, where, depth + 1);
  let plain = 0; // from here to `i` there is no syntax
  let i = 0;
  const flush = () => nodes.push(...lines(text.slice(plain, i), at + plain));
  SPECIAL.lastIndex = 0;
  for (let next; (next = SPECIAL.exec(text)) !== null;) {
    i = next.index;
    if (text[i] === "\n") {
      if (/ {2}$/.test(text.slice(Math.max(plain, i - 2), i))) {
        flush();
        nodes.push({ type: "br" });
        plain = i + 1;
      }
      continue;
    }
    for (const [start, pattern, made] of RULES) {
      if (text[i] !== start) continue;
      pattern.lastIndex = i;
      const match = pattern === TAG ? TAG.exec(text.slice(i, i + 700)) : pattern.exec(text);
      if (!match) continue;
      flush();
      nodes.push(...made(match, at + i, inside));
      plain = i + match[0].length;
      SPECIAL.lastIndex = plain;
      break;
    }
  }
  i = text.length;
  flush();
  return nodes;
}
