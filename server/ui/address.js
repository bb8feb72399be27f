/* What is searched for, in the page's address, so that a link shows the same. */

export const COUNTS = [5, 10, 20, 50, 100];
export const DEFAULT_COUNT = 10;

/* {q, k, retrieve, rank, filter, wrong, collection, debug, open}: `filter` is an object or undefined; `wrong` says why the
   address has one that is none. */
export function fromAddress(search) {
  const given = new URLSearchParams(search);
  const count = given.get("k") ?? "";
  const { filter, wrong } = readFilter(given.get("filter") ?? "");
  return {
    q: (given.get("q") ?? "").trim(),
    k: /^[1-9]\d{0,5}$/.test(count) ? Number(count) : DEFAULT_COUNT,
    retrieve: ["dense", "lexical"].includes(given.get("retrieve")) ? given.get("retrieve") : "",
    rank: given.get("rank") === "off" ? "off" : "",
    collection: given.get("c") ?? "",
    debug: given.has("debug"),
    open: given.get("open") ?? "",
    filter,
    wrong,
  };
}

/* The address's query of what `fromAddress` gives; "" for a page without a search. */
export function toAddress({ q, k, retrieve, rank, filter, collection, debug, open }) {
  const given = new URLSearchParams();
  if (collection) given.set("c", collection);
  if (q) {
    given.set("q", q);
    if (k !== DEFAULT_COUNT) given.set("k", k);
    if (retrieve) given.set("retrieve", retrieve);
    if (rank) given.set("rank", rank);
    if (filter && Object.keys(filter).length) given.set("filter", JSON.stringify(filter));
    if (open) given.set("open", open);
  }
  if (debug) given.set("debug", "");
  return given.size ? `?${String(given).replace(/\bdebug=(?=&|$)/, "debug")}` : "";
}

function readFilter(written) {
  if (!written.trim()) return {};
  let value;
  try {
    value = JSON.parse(written);
  } catch (error) {
    return { wrong: `it is not JSON: ${error.message}` };
  }
  const fits = typeof value === "object" && value !== null && !Array.isArray(value);
  return fits ? { filter: value } : { wrong: 'a filter is an object, such as {"year": 2020}' };
}
