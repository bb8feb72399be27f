/* Facets: values of metadata with counts, and filters in words.

   The server counts the values of a field over the collection. Paths are put together by folder and numbers by range if
   it sent all of them; where it did not, because there are too many, the values of the hits at hand are counted. */

const MOST = 8; // values of a field
const LONGEST = 60; // characters of a value that is one
export const ASKED = 1000; // values of a field that the server is asked for

const isScalar = (value) => ["string", "number", "boolean"].includes(typeof value);
const valuesOf = (value) => (Array.isArray(value) ? value : [value]).filter((one) => isScalar(one) && one !== "");

/* [{field, values: [{label, condition, count}], shown}] of `hits`; only fields by which some of them can be told from others. */
export function facetsOf(hits, fields) {
  return fields.flatMap((field) => {
    const rows = hits.map((hit) => valuesOf(hit.metadata?.[field]));
    const label = labelling(rows.flat());
    const sums = new Map();
    for (const row of rows) {
      const found = new Map(row.map((value) => label(value)).filter(Boolean).map((one) => [one.label, one]));
      for (const one of found.values()) add(sums, one, 1);
    }
    return toldApart(field, sums, hits.length, { shown: true });
  });
}

/* The same of what the server counted in all passages, and of `hits` where that cannot be put together. */
export function facetsFrom(counted, hits, fields) {
  return fields.flatMap((field) => {
    const known = counted.find((one) => one.field === field);
    return (known && ofCounts(known)) ?? facetsOf(hits, [field]);
  });
}

/* Null if not every value is known, or a passage with several would count more than once. */
function ofCounts({ field, values, distinct, passages }) {
  const label = labelling(values.map(({ value }) => value));
  const together = values.reduce((sum, { count }) => sum + count, 0);
  if (distinct === null || (label !== single && (values.length < distinct || together > passages))) return null;
  const sums = new Map();
  for (const { value, count } of values) if (label(value)) add(sums, label(value), count);
  return toldApart(field, sums, passages, { shown: false });
}

function add(sums, one, count) {
  sums.set(one.label, { ...one, count: (sums.get(one.label)?.count ?? 0) + count });
}

function toldApart(field, sums, total, more) {
  const values = [...sums.values()].sort((a, b) => b.count - a.count || a.label.localeCompare(b.label, "en", { numeric: true }));
  const tells = values.length > 1 && values.some((one) => one.count > 1 && one.count < total) || (values.length === 1 && values[0].count < total);
  return tells ? [{ field, values: values.slice(0, MOST), ...more }] : [];
}

/* How `all` values are told: a function to {label, condition}, null for one that is left out. */
function labelling(all) {
  if (all.length && all.every((value) => typeof value === "string" && value.includes("/"))) return folders(all);
  const many = new Set(all).size > MOST;
  return many && all.every((value) => typeof value === "number") ? ranges(all) : single;
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
