/** Which clients are put to which servers, and the table of what they could do. */
import type { Feature } from "./features.ts";
import type { Sdk } from "./sdk-clients.ts";

export const TRANSPORTS = ["legacy HTTP", "modern HTTP", "HTTP+SSE", "legacy stdio", "modern stdio"] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** A client: how it speaks to the proxy. */
export interface ClientKind {
  transport: Transport;
  sdk: Sdk;
  /** Only in the long run: a start of two processes, or nothing that another one does not show. */
  long?: boolean;
}

export const CLIENTS: readonly ClientKind[] = [
  { transport: "legacy HTTP", sdk: "v1" },
  { transport: "legacy HTTP", sdk: "legacy" },
  { transport: "modern HTTP", sdk: "auto" },
  { transport: "modern HTTP", sdk: "pin" },
  { transport: "HTTP+SSE", sdk: "v1" },
  { transport: "legacy stdio", sdk: "v1" },
  { transport: "legacy stdio", sdk: "legacy", long: true },
  { transport: "modern stdio", sdk: "auto", long: true },
  { transport: "modern stdio", sdk: "pin" },
];

/** A server: how `test/conformance/server/main.mjs` is started. */
export interface ServerKind {
  name: string;
  transport: Transport;
  /** What it cannot do, with or without a proxy: for every client, or for legacy ones only. */
  cannot?: { features: readonly Feature[]; of: "all" | "legacy"; note: string };
}

const ALONE: readonly Feature[] = ["elicit", "sample", "roots", "cancel", "changed"];

export const SERVERS: readonly ServerKind[] = [
  { name: "http", transport: "legacy HTTP" },
  {
    name: "stateless",
    transport: "legacy HTTP",
    cannot: {
      features: ALONE,
      of: "all",
      note: "A server without sessions (SDK v1 with `sessionIdGenerator: undefined`) cannot: it sees each request alone.",
    },
  },
  { name: "modern", transport: "modern HTTP" },
  {
    name: "dual-stateless",
    transport: "modern HTTP",
    cannot: {
      features: ALONE,
      of: "legacy",
      note: 'A server of SDK v2 that serves older clients too (the default of `createMcpHandler`) cannot, for these: it serves them without sessions. `era: "modern"` has Penstock translate instead.',
    },
  },
  { name: "sse", transport: "HTTP+SSE" },
  { name: "stdio", transport: "legacy stdio" },
  { name: "modern-stdio", transport: "modern stdio" },
  { name: "dual-stdio", transport: "modern stdio" },
];

export const isModern = ({ transport }: { transport: Transport }) => transport.startsWith("modern");

/** The features that a server lacks for a client, whoever is between them. */
export function lacks(server: ServerKind, client: ClientKind): readonly Feature[] {
  const { cannot } = server;
  return cannot && (cannot.of === "all" || !isModern(client)) ? cannot.features : [];
}

/** One client at one server: what was wrong with each feature that was tried. */
export interface Pair {
  client: ClientKind;
  server: ServerKind;
  tried: readonly Feature[];
  wrong: Partial<Record<Feature, string>>;
}

const HEADINGS: Record<Feature, string> = {
  list: "list",
  call: "call",
  elicit: "elicitation",
  sample: "sampling",
  roots: "roots",
  progress: "progress",
  cancel: "cancel",
  log: "logs",
  changed: "list changes",
};

/** The table for the README: a row for each pair of transports, over all clients and servers that speak them. */
export function pairTable(pairs: readonly Pair[]): string {
  const features = Object.keys(HEADINGS) as Feature[];
  const notes: string[] = [];
  const rows = TRANSPORTS.flatMap((from) =>
    TRANSPORTS.map((to) => {
      const own = pairs.filter(({ client, server }) => client.transport === from && server.transport === to);
      return [from, to, ...features.map((feature) => cell(own, feature, notes))];
    }),
  );
  const footnotes = notes.map((note, index) => `${mark(index)} ${note}`);
  return [table([["client", "server", ...Object.values(HEADINGS)], ...rows]), ...footnotes].join("\n\n");
}

function cell(pairs: readonly Pair[], feature: Feature, notes: string[]): string {
  if (pairs.length === 0) return "not run";
  if (pairs.some(({ wrong }) => wrong[feature] !== undefined)) return "**no**";
  const unable = pairs.filter(({ tried }) => !tried.includes(feature)).map(({ server }) => server.cannot!.note);
  for (const note of unable) if (!notes.includes(note)) notes.push(note);
  return ["yes", ...new Set(unable.map((note) => mark(notes.indexOf(note))))].join(" ");
}

const mark = (index: number) => "¹²³⁴"[index]!;

function table([head, ...rows]: string[][]): string {
  const widths = head!.map((_, i) => Math.max(...[head!, ...rows].map((row) => row[i]!.length)));
  const line = (row: string[]) => `| ${row.map((text, i) => text.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(head!), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
