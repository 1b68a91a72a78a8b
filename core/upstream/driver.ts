/** Which driver speaks to a server. */
import { ProxyError } from "../errors.ts";
import type { ServerConfig } from "../types.ts";
import { createHttpDriver } from "./http.ts";
import { createStdioDriver } from "./stdio.ts";
import type { Driver, DriverHost } from "./wire.ts";

/** @param name the server's name, for error messages @throws ProxyError `BAD_CONFIG` */
export function createDriver(name: string, config: ServerConfig, host: DriverHost): Driver {
  if (config.command !== undefined) return createStdioDriver(name, config, host);
  if (config.transport !== "sse") return createHttpDriver(name, config, host);
  throw new ProxyError("BAD_CONFIG", { hint: `servers.${name}: this transport is not supported yet.` });
}
