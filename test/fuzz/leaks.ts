import type { Proxies } from "./lanes.ts";
import type { FuzzServer } from "./server.ts";

/** Idle connections to servers are kept for 4 s. */
const MS = 7000;

/** @returns what is still there when nobody asks for anything any more */
export async function leftOpen(proxies: Proxies, server: FuzzServer): Promise<string[]> {
  const deadline = performance.now() + MS;
  for (;;) {
    const active = proxies.active() ?? 0;
    const open = server.open.size;
    if (active === 0 && open === 0) return [];
    if (performance.now() > deadline) return [`left open: ${active} exchanges, ${open} connections to the server`];
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
