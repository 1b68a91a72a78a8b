// What users get: the packed tarball, installed in an empty folder, used on every runtime. `node test/packed.mjs`; run by `.ci/run`.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const installed = (name) => join(root, "test/runtimes/node_modules/.bin", name);
// README.md tells users these flags; nothing else may be needed.
const denoFlags = ["run", "--no-prompt", "--allow-net", "--allow-read", "--allow-env"];
const runtimes = {
  "Node 20": [process.execPath],
  "Node 24": [installed("node")],
  Bun: [installed("bun")],
  Deno: [installed("deno"), ...denoFlags],
};

const folder = mkdtempSync(join(tmpdir(), "penstock-packed-"));
const tarball = join(root, execFileSync("npm", ["pack", "--silent"], { cwd: root, encoding: "utf8" }).trim());
try {
  const packedSize = statSync(tarball).size;
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  execFileSync("npm", ["install", "--silent", "--no-save", tarball], { cwd: folder, stdio: "inherit" });
  const own = join(folder, "node_modules/mcp-penstock");
  const { exports, bin } = JSON.parse(readFileSync(join(own, "package.json"), "utf8"));
  const names = Object.keys(exports)
    .filter((name) => !name.endsWith(".json"))
    .flatMap((name) => (name.endsWith("/*") ? pluginNames(own).map((file) => name.replace("*", file)) : [name]))
    .map((name) => `mcp-penstock${name.slice(1)}`);
  writeFileSync(join(folder, "import.mjs"), `${names.map((name) => `await import("${name}");`).join("\n")}\n`);
  const server = await mcpServer();
  for (const [name, [command, ...args]] of Object.entries(runtimes)) {
    const run = (...more) => execFileSync(command, [...args, ...more], { cwd: folder, encoding: "utf8" });
    run("import.mjs");
    const cli = join(own, bin.penstock);
    if (!run(cli, "--help").includes("penstock")) throw new Error(`${name}: --help says nothing`);
    await callThrough([command, ...args, cli, "--url", server.url, "--port", "0", "--log-level", "warn"]);
    console.log(`packed, ${name}: --help, ${names.length} imports, and a call through the proxy`);
  }
  server.close();
  const listed = execFileSync("npm", ["ls", "--all", "--parseable"], { cwd: folder, encoding: "utf8" });
  const packages = new Set(
    listed
      .trim()
      .split("\n")
      .filter((path) => path !== folder),
  ).size;
  const kilobytes = (bytes) => `${Math.round(bytes / 1024)} kB`;
  const onDisk = Number(execFileSync("du", ["-sk", join(folder, "node_modules")], { encoding: "utf8" }).split("\t")[0]);
  console.log(
    `packed: tarball ${kilobytes(packedSize)}; installed ${(onDisk / 1024).toFixed(1)} MB in ${packages} packages`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
  rmSync(tarball, { force: true });
}

function pluginNames(own) {
  return readdirSync(join(own, "dist/plugins"))
    .filter((file) => file.endsWith(".mjs"))
    .map((file) => file.slice(0, -4));
}

async function mcpServer() {
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end('{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}');
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${server.address().port}/mcp`, close: () => server.close() };
}

async function callThrough([command, ...args]) {
  const child = spawn(command, args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  try {
    const url = await new Promise((done, failed) => {
      let text = "";
      child.on("exit", (code) => failed(new Error(`exited with ${code}: ${text}`)));
      child.stdout.on("data", (chunk) => {
        const found = /listening on (http:\S+)\s/.exec((text += chunk));
        if (found) done(found[1]);
      });
    });
    const answer = await fetch(`${url}/mcp`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}',
    });
    if (answer.status !== 200 || !(await answer.text()).includes('"tools":[]'))
      throw new Error(`the call was answered with ${answer.status}`);
  } finally {
    child.kill();
  }
}
