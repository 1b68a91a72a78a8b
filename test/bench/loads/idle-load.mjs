// Opens idle event streams and keeps them, `node idle-load.mjs '{"url":…,"session":…,"streams":5000}'`. Prints one line when all are
// open, one for every stream that ends, and leaves with its parent.
import { connect } from "node:net";
import { request, requestHead } from "../http1.mjs";
import { requestHeaders } from "../workloads.mjs";

const { url, session, streams } = JSON.parse(process.argv[2]);
const { hostname, port } = new URL(url);
const bytes = request(requestHead("GET", url, { ...requestHeaders(session), Accept: "text/event-stream" }));
const atOnce = 64;
const start = performance.now();
let started = 0;
let open = 0;

function next() {
  if (started++ >= streams) return;
  const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(bytes));
  let said = "";
  socket.on("data", (data) => {
    if (said === undefined) return;
    said += data;
    if (!said.includes(": open")) return;
    if (!said.startsWith("HTTP/1.1 200")) fail(said.slice(0, 80));
    said = undefined;
    if (++open === streams) process.stdout.write(`OPEN ${streams / ((performance.now() - start) / 1000)}\n`);
    next();
  });
  socket.on("error", (error) => fail(error.message));
  socket.on("close", () => fail(said === undefined ? "a stream ended" : `refused: ${said.slice(0, 80)}`));
}

function fail(why) {
  process.stderr.write(`error after ${open} streams: ${why.split("\r\n")[0]}\n`);
  process.exit(1);
}

for (let i = 0; i < atOnce; i++) next();
