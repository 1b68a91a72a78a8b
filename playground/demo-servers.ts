import { startNotesServer } from "./servers/notes.ts";
import { startWeatherServer } from "./servers/weather.ts";

/** The URLs of both demo servers, and one way to stop them. */
export interface DemoServers {
  /** A legacy server with sessions. */
  notes: string;
  /** A modern, stateless server. */
  weather: string;
  close(): Promise<void>;
}

/** Starts both demo servers in this process, on free loopback ports. */
export async function startDemoServers(): Promise<DemoServers> {
  const [notes, weather] = await Promise.all([startNotesServer(), startWeatherServer()]);
  return {
    notes: notes.url,
    weather: weather.url,
    async close() {
      await Promise.all([notes.close(), weather.close()]);
    },
  };
}
