/** One client in five kinds. */
import type { Ledger } from "../ledger.ts";
import type { Kind } from "../plan.ts";
import type { ScriptedClient } from "./client.ts";
import { type Endpoint, LegacyHttp, LegacySse, ModernHttp } from "./http.ts";
import { LegacyClient } from "./legacy.ts";
import { ModernClient } from "./modern.ts";
import { LegacyStdio, ModernStdio } from "./stdio.ts";

/** @param origin of the proxy */
export async function openClient(
  kind: Kind,
  index: number,
  ledger: Ledger,
  origin: string,
  key: string,
  wantsChanges: boolean,
): Promise<ScriptedClient> {
  const endpoint: Endpoint = { url: `${origin}/one/${kind === "HTTP+SSE" ? "sse" : "mcp"}`, key };
  const client = {
    "legacy HTTP": () => new LegacyClient(index, ledger, new LegacyHttp(endpoint)),
    "HTTP+SSE": () => new LegacyClient(index, ledger, new LegacySse(endpoint)),
    "legacy stdio": () => new LegacyClient(index, ledger, new LegacyStdio(endpoint)),
    "modern HTTP": () => new ModernClient(index, ledger, new ModernHttp(endpoint)),
    "modern stdio": () => new ModernClient(index, ledger, new ModernStdio(endpoint)),
  }[kind]();
  client.wantsChanges = wantsChanges;
  await client.open();
  return client;
}
