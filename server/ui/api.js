/* Requests to the server: for one collection, with the API key that this tab keeps. */

const KEPT = `lurcher key ${location.pathname}`; // a proxy may have several servers under one origin
let apiKey = "";
let collection = "";

try {
  apiKey = sessionStorage.getItem(KEPT) ?? "";
} catch {
  // A browser that keeps nothing for pages: a key then lasts until the next reload.
}

export const hasKey = () => apiKey !== "";

export function keepKey(given) {
  apiKey = given;
  try {
    sessionStorage.setItem(KEPT, given);
  } catch {
    // As above.
  }
}

/* Ask `name` from now on, the default where it is "". */
export function useCollection(name) {
  collection = name;
}

export const path = (route) => (collection ? `v1/collections/${encodeURIComponent(collection)}/${route}` : `v1/${route}`);

const failures = {
  silent: "It may be down or restarting.",
  offline: "This device is offline.",
};

/* The reply's JSON; throws {title, detail, errors, request, again, status, keyed} for every way it can fail. */
async function call(address, options = {}) {
  const sent = apiKey;
  const headers = { ...options.headers, ...(sent && { Authorization: `Bearer ${sent}` }) };
  let reply;
  let body;
  try {
    reply = await fetch(address, { ...options, headers });
    body = await reply.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw { title: "The server does not answer", detail: navigator.onLine ? failures.silent : failures.offline, again: true };
  }
  let value = null;
  try {
    value = JSON.parse(body);
  } catch {
    // A proxy's page, or a reply cut short: the status below says what is known.
  }
  if (reply.ok && value) return value;
  if (reply.status === 401) {
    if (apiKey && apiKey !== sent) return call(address, options); // one was given meanwhile
    keepKey("");
  }
  throw {
    status: reply.status,
    keyed: sent !== "",
    title: value?.title ?? (reply.ok ? "The reply cannot be read" : "The server refused the request"),
    detail: value?.detail ?? `HTTP status ${reply.status}, without JSON that says more.`,
    errors: value?.errors ?? [],
    request: value?.request_id ?? reply.headers.get("X-Request-Id"),
    // What the server refused once it refuses again, unless it was only busy.
    again: reply.status >= 500 || reply.status === 429,
  };
}

export const get = (route, signal) => call(path(route), { signal });
export const collections = () => call("v1/collections");
export const remove = (route) => call(path(route), { method: "DELETE" });

export function post(route, body, { signal, headers } = {}) {
  return call(path(route), {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal,
  });
}

/* The command that sends `body`. The key itself stays here: what is copied is soon pasted where others read it. */
export function curl(route, body) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const headers = ["Content-Type: application/json", ...(apiKey ? ["Authorization: Bearer KEY"] : [])];
  const lines = headers.map((header) => `-H ${quoted(header)} \\\n  `).join("");
  return `curl -sS ${quoted(new URL(path(route), location.href).href)} \\\n  ${lines}-d ${quoted(JSON.stringify(body))}`;
}
