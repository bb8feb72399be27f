/* Hits as people look through them: those of one document together, and texts that say the same once. */

const RUN = 3; // words
const ALIKE = 7 / 8; // as the server counts; of the shorter text's runs of words that the other one has
const FEWEST = 6; // runs; a shorter text has to be equal

function runs(text) {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  if (words.length < RUN + FEWEST) return new Set([words.join(" ")]);
  return new Set(words.slice(RUN - 1).map((_, i) => words.slice(i, i + RUN).join(" ")));
}

function alike(a, b) {
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  if (small.size < FEWEST) return a.size === b.size && [...small].every((run) => run && large.has(run));
  let shared = 0;
  for (const run of small) shared += large.has(run);
  return shared >= ALIKE * small.size;
}

/* `hits`, best first, as documents [{document, hits: [hit]}]; `also` maps a hit to those folded into it. */
export function grouped(hits) {
  const kept = [];
  const also = new Map();
  for (const hit of hits) {
    const own = runs(hit.text ?? "");
    const same = hit.text && kept.find((one) => alike(one.runs, own));
    if (same) also.set(same.hit, [...(also.get(same.hit) ?? []), hit]);
    else kept.push({ hit, runs: own });
  }
  const documents = new Map();
  for (const { hit } of kept) {
    const id = hit.document ?? hit.id;
    if (!documents.has(id)) documents.set(id, { document: id, hits: [] });
    documents.get(id).hits.push(hit);
  }
  return { documents: [...documents.values()], also };
}
