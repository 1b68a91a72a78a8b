/** Which driver speaks to a server. */
import type { ServerConfig } from "../types.ts";
import { createHttpDriver } from "./http.ts";
import { createSseDriver } from "./sse.ts";
import { createStdioDriver } from "./stdio.ts";
import type { Driver, DriverHost } from "./wire.ts";

/** @param name the server's name, for error messages @throws ProxyError `BAD_CONFIG` */
export function createDriver(name: string, config: ServerConfig, host: DriverHost): Driver {
  if (config.command !== undefined) return createStdioDriver(name, config, host);
  return config.transport === "sse" ? createSseDriver(name, config, host) : createHttpDriver(name, config, host);
}
