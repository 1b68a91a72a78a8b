/**
 * The same with a Penstock between: `node through.mjs v1|v2 legacy|modern URL`. How Penstock is started stands in `PENSTOCK_COMMAND`, and
 * `PENSTOCK_ERA` is the `era` of its server.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [sdk, era, url] = process.argv.slice(2);
const [command, ...args] = JSON.parse(process.env.PENSTOCK_COMMAND);
const folder = mkdtempSync(join(tmpdir(), "penstock-conformance-client-"));
writeFileSync(
  join(folder, "penstock.config.json"),
  JSON.stringify({ servers: { harness: { url, era: process.env.PENSTOCK_ERA } } }),
);
const proxy = spawn(command, [...args, "--port", "0"], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
process.on("exit", () => {
  proxy.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});
proxy.on("exit", () => process.exit(1));

let said = "";
const origin = await new Promise((resolve) => {
  proxy.stdout.on("data", (data) => {
    process.stderr.write(data);
    const found = /listening on (http:\/\/[^\s"]+)[\s"]/.exec((said += data));
    if (found) resolve(found[1]);
  });
});
const main = join(import.meta.dirname, "main.mjs");
const client = spawn(process.execPath, [main, sdk, era, new URL("/harness/mcp", origin).href], { stdio: "inherit" });
client.on("exit", (code) => process.exit(code ?? 1));
