/** What a start says about dangers that it does not refuse. */
import type { Penstock } from "../app.ts";
import { isLoopbackHost } from "../public-url.ts";
import type { PenstockConfig } from "../types.ts";

/**
 * @param host on which it listens; `undefined` for a Unix socket
 * @returns one text for each, with what to do
 */
export function risksOf(penstock: Penstock, config: PenstockConfig, host: string | undefined): string[] {
  const risks: string[] = [];
  if (!penstock.guarded)
    risks.push("No plugin checks Host and Origin, so web pages can reach this proxy (DNS rebinding). Add host-guard.");
  const knowsItsUrl = penstock.publicUrl !== undefined || (config.trustedProxies ?? []).length > 0;
  if (penstock.logsIn && !knowsItsUrl && host !== undefined && !isLoopbackHost(host))
    risks.push(
      'Callers log in, other machines reach this address, and publicUrl is not set: metadata and challenges name the Host of each request, with the scheme of this listener. Set publicUrl to the URL that clients use, e.g. publicUrl: "https://mcp.example.com"; or trustedProxies, if the proxies in front tell it.',
    );
  return risks;
}
