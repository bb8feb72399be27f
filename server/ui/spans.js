/* Spans of a text: from code points to UTF-16 units, what of a long text to show, and blocks cut to that. */

const SNIPPET = 420; // UTF-16 units shown of a longer text,
const SPARE = 160; // unless this many more would show it whole
const LEAD = 110; // of them, at most this many before the marked sentence

/* The API counts code points, as Python does; JavaScript's indices count UTF-16 units. */
export function toUnits(text, spans) {
  const wanted = [...new Set(spans.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b);
  const units = new Map();
  let points = 0;
  let at = 0;
  for (const offset of wanted) {
    while (points < offset && at < text.length) {
      at += text.codePointAt(at) > 0xffff ? 2 : 1;
      points += 1;
    }
    units.set(offset, at);
  }
  return spans.map(({ start, end }) => ({ start: units.get(start), end: units.get(end) })).filter(({ start, end }) => start < end);
}

/* The [from, to) of `text` to show while it is closed: around its first span. */
export function excerpt(text, spans, size = SNIPPET) {
  if (text.length <= size + SPARE) return [0, text.length];
  const first = Math.min(...spans.map((span) => span.start), text.length);
  let from = first === text.length ? 0 : Math.max(0, Math.min(first - LEAD, text.length - size));
  let to = Math.min(text.length, from + size);
  // Begin where a paragraph or a line begins, or else with a whole word; end with one.
  if (from > 0) {
    const before = text.slice(from, first);
    const start = [/\n\s*\n/, /\n/, /[.!?。]\s+/, /\s+/].map((pattern) => pattern.exec(before)).find(Boolean);
    from += start ? start.index + start[0].length : 0;
  }
  if (to < text.length) {
    const tail = Math.max(from + 1, ...spans.slice(0, 1).map((span) => Math.min(span.end, to - 1)), to - LEAD * 1.5);
    const after = text.slice(tail, to);
    const end = [/\n\s*\n(?!.*\n\s*\n)/s, /(?<=[.!?。:])\s(?!.*[.!?。:]\s)/s, /\n[^\n]*$/, /\s\S*$/].map((pattern) => pattern.exec(after)).find(Boolean);
    if (end) to = tail + end.index;
  }
  return [from, to];
}

/* `nodes` with what stands in [from, to) of the source: whole lines of code and rows of tables, parts of all else. */
export function clip(nodes, from, to) {
  const inside = (leaf) => leaf.at < to && leaf.at + Math.max(leaf.width, 1) > from;
  const first = (row) => row.flatMap((cell) => leaves(cell.kids))[0];
  return nodes.flatMap((node) => {
    if (node.lines) {
      const lines = node.lines.filter(inside);
      return lines.length ? [{ ...node, lines }] : [];
    }
    if (node.rows) {
      const rows = node.rows.filter((row) => row.length && first(row) && inside(first(row)));
      return rows.length || (node.head.length && first(node.head) && inside(first(node.head))) ? [{ ...node, rows }] : [];
    }
    if (node.items) {
      const items = node.items.map((item) => ({ ...item, kids: clip(item.kids, from, to) }));
      const skipped = items.findIndex((item) => item.kids.length);
      const kept = items.filter((item) => item.kids.length);
      return kept.length ? [{ ...node, items: kept, start: node.start === undefined ? undefined : node.start + skipped }] : [];
    }
    if (node.kids) {
      const kids = clip(node.kids, from, to);
      return kids.some((kid) => kid.type !== "br") ? [{ ...node, kids }] : [];
    }
    if (node.text === undefined) return [node];
    if (!inside(node)) return [];
    if (node.width !== node.text.length) return [node];
    const begin = Math.max(0, from - node.at);
    const end = Math.min(node.text.length, to - node.at);
    return end > begin ? [{ ...node, text: node.text.slice(begin, end), at: node.at + begin, width: end - begin }] : [];
  });
}

/* All leaves below `nodes`, in order. */
export function leaves(nodes) {
  return nodes.flatMap((node) => {
    if (node.text !== undefined) return [node];
    if (node.lines) return node.lines;
    if (node.items) return node.items.flatMap((item) => leaves(item.kids));
    if (node.rows) return [node.head, ...node.rows].flatMap((row) => row.flatMap((cell) => leaves(cell.kids)));
    return leaves(node.kids ?? []);
  });
}

/* A leaf's text in pieces [text, whether a span covers it]. */
export function pieces({ text, at, width }, spans) {
  if (width !== text.length) return [[text, spans.some((span) => span.start <= at && at < span.end)]];
  const found = [];
  let here = 0;
  for (const span of spans) {
    const begin = Math.max(here, span.start - at);
    const end = Math.min(text.length, span.end - at);
    if (begin >= end) continue;
    if (begin > here) found.push([text.slice(here, begin), false]);
    found.push([text.slice(begin, end), true]);
    here = end;
  }
  if (here < text.length) found.push([text.slice(here), false]);
  return found;
}
