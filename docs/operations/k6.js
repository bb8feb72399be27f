// Searches for k6, at a rate that does not wait for replies:
//   k6 run -e QUERIES=queries.jsonl -e RATE=50 k6.js
// URL, KEY and OPTIONS (fields of each search, JSON) may be given, too.
import http from "k6/http";
import { check } from "k6";
import { Rate } from "k6/metrics";
import { SharedArray } from "k6/data";

const queries = new SharedArray("queries", () =>
  open(__ENV.QUERIES).trim().split("\n").map((line) => JSON.parse(line).text));
const url = `${__ENV.URL || "http://127.0.0.1:8080"}/v1/search`;
const fields = JSON.parse(__ENV.OPTIONS || "{}");
const headers = { "Content-Type": "application/json" };
if (__ENV.KEY) headers.Authorization = `Bearer ${__ENV.KEY}`;

const refused = new Rate("refused");
http.setResponseCallback(http.expectedStatuses(200, 429)); // a refusal is an answer

export const options = {
  scenarios: {
    searches: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE || 20),
      timeUnit: "1s",
      duration: __ENV.DURATION || "60s",
      preAllocatedVUs: 50,
      maxVUs: 2000,
    },
  },
  thresholds: { http_req_failed: ["rate<0.001"], refused: ["rate<0.01"] },
};

export default function search() {
  const query = queries[Math.floor(Math.random() * queries.length)];
  const reply = http.post(url, JSON.stringify({ query, ...fields }), { headers });
  refused.add(reply.status === 429);
  check(reply, { "answered or refused": (r) => r.status === 200 || r.status === 429 });
}
