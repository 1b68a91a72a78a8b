import { type Mount, ProxyError, type State, defineState } from "../core/index.ts";

/** How the streams of a session are kept. Times are in milliseconds, sizes in bytes. */
export interface StreamOptions {
  /** Lets clients come back to a stream (`Last-Event-ID`). `false`: no event ids, and a stream ends with its connection. */
  resume?: ResumeOptions | false;
  /** How long the server waits for the client's answer to a request of its own; then it gets an error. 0 means for ever. @default 600000 */
  answerTimeout?: number;
}

/** What is kept so that a client can come back. */
export interface ResumeOptions {
  /** How long a stream is kept that nobody reads: one that has ended, and one whose server is still at work. @default 60000 */
  ttl?: number;
  /** Events kept of one stream. @default 1000 */
  events?: number;
  /** Bytes kept of one stream; a server whose client is away is not read beyond them. @default 1048576 */
  streamBytes?: number;
  /** The same of all streams of one session, with 2 KiB for each. @default 4194304 */
  sessionBytes?: number;
  /** The same of all sessions with one server. @default 67108864 */
  totalBytes?: number;
  /** Streams kept of one session, beside those that are read. @default 100 */
  streams?: number;
}

/** Options with nothing left open. */
export interface StreamSettings extends Required<ResumeOptions> {
  /** Events get ids. */
  resumes: boolean;
  answerTimeout: number;
}

const DEFAULTS: Required<ResumeOptions> = {
  ttl: 60_000,
  events: 1000,
  streamBytes: 1024 * 1024,
  sessionBytes: 4 * 1024 * 1024,
  totalBytes: 64 * 1024 * 1024,
  streams: 100,
};

/** @throws ProxyError `BAD_OPTION` */
export function readStreamOptions({ resume = {}, answerTimeout = 600_000 }: StreamOptions): StreamSettings {
  const settings = { ...DEFAULTS, ...(resume !== false && resume), resumes: resume !== false, answerTimeout };
  for (const [name, value] of Object.entries(settings)) {
    const known = name in DEFAULTS || name === "resumes" || name === "answerTimeout";
    if (!known || (name !== "resumes" && !(Number.isInteger(value) && Number(value) >= 0)))
      throw new ProxyError("BAD_OPTION", {
        plugin: "plugin 'sessions'",
        hint: known ? `${name} must be a whole number, 0 or more.` : `resume.${name} is no option.`,
      });
  }
  return settings;
}

/** Bytes that all sessions with one server keep together. */
export interface Budget {
  used: number;
}

const slot: State<Budget> = defineState("sessions.kept");

export function budgetOf(mount: Mount): Budget {
  const known = mount.get(slot);
  if (known) return known;
  const made = { used: 0 };
  mount.set(slot, made);
  return made;
}
