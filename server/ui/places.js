/* Where a hit stands, in words: the title of its page, the section, a path that people can read, and its link. */

import { safeLink } from "./dom.js";
import { words } from "./markdown.js";

const LOOKS_LIKE_A_PATH = /[^/]\/[^/]|\.[a-z]\w{0,7}$/i;
const EMPTY = new Set(["table of contents", "contents", "on this page"]);

/* {title, section: [heading], path: [part], url, document} of a hit. */
export function placeOf({ id, title = "", section = [], document: whole = id, url = "", anchor = "", text = "" }) {
  const tail = section.length ? section.join(" > ") : "";
  const own = tail && title.endsWith(` > ${tail}`) ? title.slice(0, -tail.length - 3) : title === tail ? "" : title;
  const name = words(own) || nameOf(whole);
  const headings = section.map(words).filter((heading, i, all) =>
    heading && !EMPTY.has(heading.toLowerCase()) && !sameStart(heading, name) && heading !== all[i - 1]);
  const [, first = ""] = headings.length ? [] : /^\s*#{1,6}[ \t]+(.+)/.exec(text) ?? [];
  if (first && !sameStart(words(first), name)) headings.push(words(first));
  const link = safeLink(url);
  return { title: name, section: headings, path: pathOf(whole, link), url: withAnchor(link, anchor), document: whole };
}

const folded = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();

/* Whether a heading repeats the title, as pages have theirs twice: "npm-ls" and "npm-ls @11.19.1". */
function sameStart(heading, title) {
  const [a, b] = [folded(heading), folded(title)];
  return a === b || (b !== "" && a.startsWith(`${b} `) && /^[\d. ]+$/.test(a.slice(b.length)));
}

/* A document without a title is called by its file; one whose id is no path, by its id. */
function nameOf(whole) {
  return LOOKS_LIKE_A_PATH.test(whole) ? whole.split("/").findLast(Boolean) : whole;
}

function pathOf(whole, link) {
  if (link) {
    const { host, pathname } = new URL(link);
    return [host, ...pathname.split("/").filter(Boolean).map(decoded)];
  }
  return LOOKS_LIKE_A_PATH.test(whole) && !/\s/.test(whole) ? whole.split("/").filter(Boolean) : [];
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const withAnchor = (link, anchor) => (link && anchor && !link.includes("#") ? `${link}#${encodeURIComponent(anchor)}` : link);
