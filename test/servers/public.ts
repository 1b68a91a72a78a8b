/** The public servers: how each is started, and what is asked of it. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { installPackages } from "../_harness/packages.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const entryOf = (name: string) => join(here, `node_modules/@modelcontextprotocol/server-${name}/dist/index.js`);

export const installServers = () => installPackages({ folder: here, what: "public MCP servers" });

/** How a server speaks. */
export type Protocol = "http" | "sse" | "stdio";

/** One request of a visit. */
export interface Ask {
  method: string;
  params?: Record<string, unknown>;
  /** Asks for progress, and notes it down. */
  progress?: boolean;
}

/** One public server. */
export interface PublicServer {
  /** Command line by transport, for the Node of the tests. */
  readonly args: Readonly<Partial<Record<Protocol, readonly string[]>>>;
  readonly env: Readonly<Record<string, string>>;
  /** Asked one after the other. In the end the server is as it was. */
  readonly asks: readonly Ask[];
  /** What it asks its client for by itself, before the visit ends. */
  readonly wants: readonly string[];
}

/** What all of them have in common, in one folder. */
export interface PublicServers {
  readonly servers: Readonly<Record<"everything" | "memory" | "filesystem" | "sequential-thinking", PublicServer>>;
  /** The only root that clients offer. */
  readonly root: string;
  /** A place for other files; servers do not see it. */
  readonly folder: string;
  close(): Promise<void>;
}

const tool = (name: string, args: object = {}): Ask => ({ method: "tools/call", params: { name, arguments: args } });
const prompt = (name: string, args: object = {}): Ask => ({ method: "prompts/get", params: { name, arguments: args } });
const complete = (ref: object, name: string, value: string, context?: object): Ask => ({
  method: "completion/complete",
  params: { ref, argument: { name, value }, ...(context && { context }) },
});
const read = (uri: string): Ask => ({ method: "resources/read", params: { uri } });

const EVERYTHING: readonly Ask[] = [
  { method: "ping" },
  { method: "logging/setLevel", params: { level: "warning" } },
  tool("echo", { message: "naïve – 🙂\u2028" }),
  tool("get-sum", { a: 2, b: 40 }),
  tool("get-tiny-image"),
  tool("get-annotated-message", { messageType: "error", includeImage: true }),
  tool("get-resource-links", { count: 4 }),
  tool("get-resource-reference", { resourceType: "Blob", resourceId: 3 }),
  tool("get-structured-content", { location: "Chicago" }),
  { ...tool("trigger-long-running-operation", { duration: 0.2, steps: 4 }), progress: true },
  tool("trigger-sampling-request", { prompt: "why?" }),
  tool("trigger-elicitation-request"),
  tool("get-roots-list"),
  tool("get-sum", { a: "no number" }),
  tool("no-such-tool"),
  prompt("simple-prompt"),
  prompt("args-prompt", { city: "Bern" }),
  prompt("completable-prompt", { department: "Sales", name: "Eve" }),
  prompt("resource-prompt", { resourceType: "Text", resourceId: "7" }),
  prompt("no-such-prompt"),
  complete({ type: "ref/prompt", name: "completable-prompt" }, "department", "S"),
  complete({ type: "ref/prompt", name: "completable-prompt" }, "name", "", { arguments: { department: "Sales" } }),
  complete({ type: "ref/resource", uri: "demo://resource/dynamic/text/{resourceId}" }, "resourceId", "12"),
  read("demo://resource/static/document/features.md"),
  read("demo://resource/dynamic/text/5"),
  read("demo://resource/dynamic/blob/6"),
  read("demo://nothing"),
  { method: "resources/subscribe", params: { uri: "demo://resource/dynamic/text/5" } },
  { method: "resources/unsubscribe", params: { uri: "demo://resource/dynamic/text/5" } },
  { method: "no/such-method" },
];

const MEMORY: readonly Ask[] = [
  tool("create_entities", {
    entities: [
      { name: "turbine", entityType: "machine", observations: ["turns"] },
      { name: "penstock", entityType: "pipe", observations: [] },
    ],
  }),
  tool("create_relations", { relations: [{ from: "penstock", to: "turbine", relationType: "feeds" }] }),
  tool("add_observations", { observations: [{ entityName: "penstock", contents: ["is steep"] }] }),
  tool("read_graph"),
  tool("search_nodes", { query: "steep" }),
  tool("open_nodes", { names: ["turbine"] }),
  read("memory://knowledge-graph"),
  tool("delete_observations", { deletions: [{ entityName: "penstock", observations: ["is steep"] }] }),
  tool("delete_relations", { relations: [{ from: "penstock", to: "turbine", relationType: "feeds" }] }),
  tool("delete_entities", { entityNames: ["turbine", "penstock"] }),
  tool("read_graph"),
];

/** Thoughts are counted by process: the number tells whether a session has one of its own. */
const THINKING: readonly Ask[] = [1, 2, 3].map((thoughtNumber) =>
  tool("sequentialthinking", { thought: "so", nextThoughtNeeded: thoughtNumber < 3, thoughtNumber, totalThoughts: 3 }),
);

function filesystemAsks(files: string): Ask[] {
  const at = (name: string) => join(files, name);
  return [
    tool("list_allowed_directories"),
    tool("write_file", { path: at("new.txt"), content: "one\ntwo\nthree\n" }),
    tool("read_text_file", { path: at("new.txt"), head: 2 }),
    tool("edit_file", { path: at("new.txt"), edits: [{ oldText: "two", newText: "zwei" }] }),
    tool("read_multiple_files", { paths: [at("new.txt"), at("a.txt"), at("none.txt")] }),
    tool("move_file", { source: at("new.txt"), destination: at("moved.txt") }),
    tool("move_file", { source: at("moved.txt"), destination: at("new.txt") }),
    tool("list_directory", { path: files }),
    tool("directory_tree", { path: files }),
    tool("search_files", { path: files, pattern: "*.txt" }),
    tool("read_media_file", { path: at("a.png") }),
    tool("read_text_file", { path: "/etc/passwd" }),
  ];
}

/** Makes the folder that the servers work in. The packages must be installed. */
export async function publicServers(): Promise<PublicServers> {
  const folder = await mkdtemp(join(tmpdir(), "penstock-servers-"));
  const root = join(folder, "root");
  await mkdir(root);
  await writeFile(join(root, "a.txt"), "a");
  await writeFile(join(root, "new.txt"), "");
  await writeFile(join(root, "a.png"), Buffer.from("89504e470d0a1a0a", "hex"));
  const env = { MEMORY_FILE_PATH: join(folder, "memory.jsonl"), DISABLE_THOUGHT_LOGGING: "true" };
  const onStdio = (name: string, asks: readonly Ask[], wants: readonly string[] = []): PublicServer => ({
    args: { stdio: [entryOf(name), ...(name === "filesystem" ? [root] : [])] },
    env,
    asks,
    wants,
  });
  const everything = entryOf("everything");
  return {
    folder,
    root: pathToFileURL(root).href,
    servers: {
      everything: {
        args: { stdio: [everything], sse: [everything, "sse"], http: [everything, "streamableHttp"] },
        env,
        asks: EVERYTHING,
        wants: ["roots/list"],
      },
      memory: onStdio("memory", MEMORY),
      filesystem: onStdio("filesystem", filesystemAsks(root), ["roots/list"]),
      "sequential-thinking": onStdio("sequential-thinking", THINKING),
    },
    close: () => rm(folder, { recursive: true }),
  };
}
