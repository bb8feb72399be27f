/* The search page: what is asked, when, and what is shown of the reply. */

import { COUNTS, fromAddress, toAddress } from "./address.js";
import { makeAnswer, sureAnswer } from "./answer.js";
import * as api from "./api.js";
import { showCollection, showCollections } from "./collection.js";
import { copyCommand } from "./copy.js";
import { byId, discloses, el, plural } from "./dom.js";
import { examples } from "./examples.js";
import { showFailure } from "./failure.js";
import { grouped } from "./group.js";
import { makeDocument } from "./hits.js";
import { askKey, closeKey, onKey } from "./key.js";
import { goTo, listen } from "./keyboard.js";
import { showFacets, showFilter } from "./narrow.js";
import { placeOf } from "./places.js";
import { closeReader, isOpen, openReader, whenClosed } from "./reader.js";
import { openStages, showTimings } from "./timing.js";

const REST = 140; // ms without a key press after which what was typed is searched for
const PAUSE = 400; // ms after which it is also read for an answer
const INCLUDE = ["text", "scores", "highlights", "metadata", "contributing_neighbours"];

const [main, query, hits, answer] = ["main", "query", "hits", "answer"].map(byId);
let state = fromAddress(location.search);
let running = null; // the AbortController of the search under way
let asked = null; // the body of the last search sent
let shown = ""; // the request whose hits are shown, as JSON
let found = []; // the hits shown
let bundle = null; // the promise of what the collection is
let isTyping = false; // whether the address is of what is being typed
let timer = 0;

/* ---- what is asked ---- */

function fill() {
  query.value = state.q;
  byId("retrieve").value = state.retrieve;
  byId("rank").value = state.rank;
  const counts = COUNTS.includes(state.k) ? COUNTS : [...COUNTS, state.k].sort((a, b) => a - b);
  byId("k").replaceChildren(...counts.map((n) => el("option", { value: n, text: `${n} passages` })));
  byId("k").value = state.k;
  if (byId("collection").options.length) byId("collection").value = state.collection;
  api.useCollection(state.collection);
}

/* Take over `changes`, and the address with them: as a new entry of the history, or in place of the last. */
function change(changes, { replace = false } = {}) {
  state = { ...state, wrong: undefined, open: "", ...changes };
  const wanted = toAddress(state);
  if (wanted !== location.search) history[replace ? "replaceState" : "pushState"](null, "", wanted || location.pathname);
}

function request() {
  const { q, k, retrieve, rank, filter } = state;
  return { query: q, top_k: k, retrieve: retrieve || undefined, rank: rank || undefined,
    filter: filter && Object.keys(filter).length ? filter : undefined, fold: true, include: INCLUDE };
}

/* ---- the collection ---- */

function meet() {
  if (!bundle) loadBundle();
}

async function loadBundle() {
  const mine = bundle = api.get("bundle");
  try {
    const known = await mine;
    if (mine !== bundle) return;
    showCollection(known);
    showCollections(state.collection);
    if (found.length) showReply(lastReply); // what can be judged and narrowed is known now
    else offer();
  } catch (failure) {
    if (mine !== bundle) return;
    bundle = null;
    byId("bundle").textContent = "";
    if (failure instanceof Error) console.error(failure);
    if (failure.status === 401) askKey(failure);
    if (failure.status === 409 && !state.q) fail(failure); // an encoder alone has nothing to search
  }
}

/* Example queries, on the first page alone. */
async function offer() {
  if (state.q || byId("examples").childElementCount) return;
  const mine = bundle;
  const texts = await mine.then((known) => examples(known.limits?.top_k)).catch(() => []);
  if (mine !== bundle || !texts.length) return;
  byId("examples").replaceChildren(...texts.map((text) => el("li", {}, el("a", { dir: "auto", href: toAddress({ ...state, q: text }), text, onclick: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    query.value = text;
    submit();
    query.focus();
  } }))));
  byId("try").hidden = false;
}

/* ---- searching ---- */

function show(view) {
  for (const name of ["start", "results", "empty", "failure"]) byId(name).hidden = name !== view;
  if (view !== "results") byId("narrow").hidden = true;
  byId("about").hidden = view === "results";
}

function clear(view = null) {
  shown = "";
  found = [];
  byId("status").textContent = "";
  byId("time").hidden = byId("timing").hidden = true;
  hits.replaceChildren();
  sayAnswer();
  closeReader();
  show(view);
}

function start() {
  running?.abort();
  main.setAttribute("aria-busy", "false");
  document.title = "Lurcher";
  byId("copy").hidden = true;
  showFilter();
  clear("start");
  bundle?.then(offer, () => {});
}

/* Search for what the state says. What is being typed is read for an answer only after a pause. */
async function search({ typed = false } = {}) {
  clearTimeout(timer);
  running?.abort();
  if (!state.q) return start();
  showFilter(state.filter, filterBy);
  if (state.wrong) return fail({ title: "The filter in the address cannot be read", detail: `${state.wrong[0].toUpperCase()}${state.wrong.slice(1)}.`, filtered: true });
  const mine = running = new AbortController();
  const body = asked = request();
  document.title = `${body.query} · Lurcher`;
  byId("copy").hidden = false;
  byId("curl").hidden = true;
  byId("status").textContent = "Searching…";
  byId("time").hidden = true;
  main.setAttribute("aria-busy", "true");
  closeKey();
  meet();
  try {
    const reply = await api.post("search", body, { signal: mine.signal });
    if (mine !== running || mine.signal.aborted) return;
    sayAnswer();
    showReply(reply);
    if (reply.hits.length && reply.question) timer = setTimeout(() => findAnswer(mine, body), typed ? PAUSE : 0);
  } catch (failure) {
    if (mine !== running || mine.signal.aborted) return;
    if (failure.status === 401) {
      clear();
      askKey(failure, search);
    } else {
      fail(failure);
    }
  }
  if (mine === running) main.setAttribute("aria-busy", "false");
}

/* Search for what is in the box; again only where that is not what is shown. */
function submit() {
  const wasTyping = isTyping;
  clearTimeout(timer);
  isTyping = false;
  change({ q: query.value.trim() }, { replace: wasTyping });
  if (wasTyping && shown && shown === JSON.stringify(request())) {
    if (lastReply.question) findAnswer(running, asked);
    return;
  }
  return search();
}

function typed() {
  clearTimeout(timer);
  const text = query.value.trim();
  timer = setTimeout(() => {
    if (text === state.q || (text.length === 1 && text < "\u0250")) return;
    change({ q: text }, { replace: isTyping || !state.q });
    isTyping = true;
    search({ typed: true });
  }, REST);
}

/* Search again, with something else than the words changed. */
function again(changes) {
  isTyping = false;
  change({ q: query.value.trim(), ...changes });
  search();
}

const filterBy = (filter) => again({ filter });

/* ---- showing a reply ---- */

let lastReply = null;

async function showReply(reply) {
  lastReply = reply;
  shown = JSON.stringify(asked);
  found = reply.hits;
  const { documents, also } = grouped(found);
  const count = found.length;
  const where = documents.length < count ? ` in ${plural(documents.length, "document")}` : "";
  byId("status").textContent = count ? `${plural(count, "passage")}${where}` : "No passage";
  showTimings(reply.timings_ms);
  const notes = [];
  if (reply.truncated) notes.push("The query is longer than the encoder reads: its end was left out.");
  if (reply.degraded?.length) notes.push(`The server was short of time and left out: ${reply.degraded.join(", ")}.`);
  byId("notes").replaceChildren(...notes.map((note) => el("li", { text: note })));
  const known = await settled(bundle);
  if (reply !== lastReply) return;
  const context = {
    query: asked.query, bundle: reply.bundle, debug: state.debug, feedback: known?.feedback, also, askKey,
    open: openHit, address: (id) => toAddress({ ...state, open: id }),
    alignment: known?.tokens && asked.rank !== "off" ? alignments(asked) : null,
  };
  hits.replaceChildren(...documents.map((one) => makeDocument(one, context)));
  byId("more").hidden = count < state.k || !COUNTS.some((n) => n > state.k);
  byId("empty-hint").textContent = asked.filter ? "No passage passes the filter." : "Try other words, or a longer description.";
  byId("unfilter").hidden = !asked.filter;
  show(count ? "results" : "empty");
  if (count) showFacets(found, { ...asked, collection: state.collection }, known?.filter_fields ?? [], filterBy);
  const hit = state.open && !isOpen() && found.find(({ id }) => id === state.open);
  if (hit) openReader(hit, placeOf(hit));
  else if (!state.open) closeReader();
}

/* What a promise holds by now; nothing while it is under way or where it failed. */
const settled = (promise) => Promise.race([promise, Promise.resolve()]).catch(() => undefined);

/* A function of a hit's id to the promise of its token_alignment, asked for once for all hits of `body`. */
function alignments(body) {
  let all = null;
  return (id) => (all ??= api.post("search", { ...body, include: ["token_alignment"] }))
    .then((reply) => reply.hits.find((hit) => hit.id === id)?.token_alignment);
}

function openHit(hit, place) {
  change({ open: hit.id });
  openReader(hit, place);
}

/* Say once what went wrong, and what can be done. */
function fail(failure) {
  if (failure instanceof Error) console.error(failure);
  clear("failure");
  main.setAttribute("aria-busy", "false");
  showFailure(failure);
}

/* ---- the answer above the hits ---- */

function sayAnswer(...nodes) {
  answer.setAttribute("aria-busy", "false");
  answer.replaceChildren(...nodes);
}

/* Find out what answers the question that `mine` searched for, whose hits are shown, if the collection has a reader. */
async function findAnswer(mine, { query: text, retrieve, rank, filter }) {
  const superseded = () => mine !== running || mine.signal.aborted;
  const known = await bundle?.catch(() => null);
  if (!known?.reader || superseded()) return;
  answer.setAttribute("aria-busy", "true");
  try {
    const reply = await api.post("answer", { query: text, top_k: 1, include: ["passage"], retrieve, rank, filter }, { signal: mine.signal });
    if (superseded()) return;
    const best = sureAnswer(reply);
    const name = best && [...hits.querySelectorAll(".hit")].find((one) => one.dataset.passage === best.passage.id)?.querySelector(".name");
    sayAnswer(...(best ? [makeAnswer(best, reply, name && (() => goTo(name)))] : []));
  } catch (failure) {
    if (superseded()) return;
    if (failure instanceof Error) console.error(failure);
    sayAnswer(el("p", { class: "hint", text: `Not read for an answer: ${failure.detail ?? "the reply cannot be shown"}.` }));
  }
}

/* ---- beginning ---- */

function startAfresh() {
  clearTimeout(timer);
  isTyping = false;
  query.value = "";
  query.focus();
  change({ q: "", filter: undefined });
  start();
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
query.addEventListener("input", (event) => { if (!event.isComposing) typed(); });
query.addEventListener("compositionend", typed);
byId("k").addEventListener("change", () => again({ k: Number(byId("k").value) }));
byId("more").addEventListener("click", () => again({ k: COUNTS.find((n) => n > state.k) }));
for (const name of ["retrieve", "rank"]) byId(name).addEventListener("change", () => again({ [name]: byId(name).value }));
byId("collection").addEventListener("change", () => {
  api.useCollection(byId("collection").value);
  bundle = null;
  byId("examples").replaceChildren();
  byId("try").hidden = true;
  meet();
  again({ collection: byId("collection").value, filter: undefined });
});
for (const name of ["unfilter", "drop"]) byId(name).addEventListener("click", () => filterBy(undefined));
byId("retry").addEventListener("click", () => search());
byId("copy").addEventListener("click", () => copyCommand(api.curl("search", asked)));
byId("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  startAfresh();
});
const openOptions = discloses(byId("options-toggle"), byId("options"));
whenClosed(() => { if (state.open) change({ open: "" }, { replace: true }); });
onKey(meet);
listen(startAfresh);
addEventListener("popstate", () => {
  const before = { ...state, open: "" };
  state = fromAddress(location.search);
  isTyping = false;
  if (state.q && toAddress({ ...state, open: "" }) === toAddress(before) && found.length) { // the reader alone
    const hit = found.find(({ id }) => id === state.open);
    if (hit) openReader(hit, placeOf(hit));
    else closeReader();
    return;
  }
  fill();
  search();
});
addEventListener("online", () => { if (!byId("failure").hidden && !byId("retry").hidden) search(); });

fill();
if (state.retrieve || state.rank || state.debug) openOptions(true);
if (state.debug) openStages(true);
document.body.classList.toggle("debug", state.debug);
meet();
search();
query.focus();
