/* Facets: values of metadata among the hits shown, with counts, and filters in words.

   The server has no counts over a whole corpus, so these are of the hits at hand, and the page says so. */

const MOST = 8; // values of a field
const LONGEST = 60; // characters of a value that is one

const isScalar = (value) => ["string", "number", "boolean"].includes(typeof value);
const valuesOf = (value) => (Array.isArray(value) ? value : [value]).filter((one) => isScalar(one) && one !== "");

/* [{field, values: [{label, condition, count}]}] of `hits`; only fields by which some of them can be told from others. */
export function facetsOf(hits, fields) {
  return fields.flatMap((field) => {
    const rows = hits.map((hit) => valuesOf(hit.metadata?.[field]));
    const values = valuesIn(rows, hits.length);
    return values.length ? [{ field, values }] : [];
  });
}

function valuesIn(rows, total) {
  const all = rows.flat();
  if (!all.length) return [];
  const paths = all.every((value) => typeof value === "string" && value.includes("/"));
  const distinct = new Set(all);
  const numbers = all.every((value) => typeof value === "number");
  const label = paths ? folders(all) : numbers && distinct.size > MOST ? ranges(all) : (value) => single(value);
  const counts = new Map();
  for (const row of rows) {
    const found = new Map(row.map((value) => label(value)).filter(Boolean).map((one) => [one.label, one]));
    for (const [name, one] of found) counts.set(name, { ...one, count: (counts.get(name)?.count ?? 0) + 1 });
  }
  const values = [...counts.values()].sort((a, b) => b.count - a.count || a.label.localeCompare(b.label, "en", { numeric: true }));
  const tells = values.length > 1 && values.some((one) => one.count > 1 && one.count < total) || (values.length === 1 && values[0].count < total);
  return tells ? values.slice(0, MOST) : [];
}

const single = (value) => (String(value).length > LONGEST ? null : { label: String(value), condition: value });

/* Paths by the folder in which they part; a filter takes a folder as the range of texts that begin with it. */
function folders(all) {
  const parts = all.map((path) => path.split("/").slice(0, -1));
  let depth = 0;
  while (parts.every((one) => one.length > depth + 1 && one[depth] === parts[0][depth])) depth += 1;
  return (path) => {
    const above = path.split("/").slice(0, -1).slice(0, depth + 1);
    return above.length ? { label: `${above.join("/")}/`, condition: within(`${above.join("/")}/`) } : null;
  };
}

// "0" is the sign after "/".
const within = (folder) => ({ gte: folder, lt: `${folder.slice(0, -1)}0` });

/* Numbers by steps of 1, 2, 5, 10, 20 ..., some six of them. */
function ranges(all) {
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const rough = (high - low) / 6 || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * unit).find((one) => one >= rough);
  const whole = all.every(Number.isInteger) && step >= 1;
  return (value) => {
    const from = Number((Math.floor(value / step) * step).toPrecision(12));
    const to = Number((from + step).toPrecision(12));
    return { label: whole ? (step === 1 ? `${from}` : `${from}–${to - 1}`) : `${from}–${to}`, condition: { gte: from, lt: to } };
  };
}

export const sameCondition = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/* A condition of a filter as people read it. */
export function inWords(field, condition) {
  if (condition === null || typeof condition !== "object") return `${field}: ${condition}`;
  if (Array.isArray(condition.in)) return `${field}: ${condition.in.join(" or ")}`;
  const { gte, lt } = condition;
  if (typeof gte === "string" && gte.endsWith("/") && sameCondition(condition, within(gte))) return `${field}: ${gte}`;
  const signs = { gte: "≥", gt: ">", lte: "≤", lt: "<" };
  return `${field} ${Object.entries(condition).map(([name, value]) => `${signs[name] ?? name} ${value}`).join(" and ")}`;
}
