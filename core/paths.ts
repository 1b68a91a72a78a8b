/** Who serves which path. The order of claims never decides: the router picks the most specific one, and equals are refused. */
import { ProxyError } from "./errors.ts";
import type { Access } from "./types.ts";

export interface PathClaim {
  /** As written. `:name` is one segment, `**` any number. */
  path: string;
  methods: "all" | string;
  /** Who claims it, for messages and `penstock routes`. */
  owner: string;
  /** Who may call it; of a mount its plugins decide. */
  access: Access | "mount";
}

export class PathTable {
  readonly #claims: PathClaim[] = [];
  readonly #byShape = new Map<string, PathClaim[]>();

  /** @throws ProxyError `PATH_TAKEN`, naming both */
  claim(claim: PathClaim): void {
    const equals = this.#byShape.get(shape(claim.path)) ?? [];
    const taken = equals.find(
      (other) => other.methods === "all" || claim.methods === "all" || other.methods === claim.methods,
    );
    if (taken)
      throw new ProxyError("PATH_TAKEN", {
        hint: `${claim.path} is claimed by ${taken.owner} and by ${claim.owner}. Give one of them another path.`,
      });
    this.#claims.push(claim);
    this.#byShape.set(shape(claim.path), [...equals, claim]);
  }

  /** Most specific first, as the router decides. */
  sorted(): PathClaim[] {
    return [...this.#claims].sort(
      (a, b) => compareSegments(segments(a.path), segments(b.path)) || a.path.localeCompare(b.path),
    );
  }
}

/**
 * Two patterns of one shape match the same paths: names of parameters, a trailing slash, and whether a letter is
 * percent-encoded make no difference to the router.
 */
export function shape(path: string): string {
  return segments(path)
    .map((segment) =>
      segment.startsWith("**") ? "**" : segment.startsWith(":") || segment === "*" ? ":" : decoded(segment),
    )
    .join("/");
}

/** Where an HTTP+SSE client posts its messages: beside its stream. @param ssePath the stream's path */
export function messagesPath(ssePath: string): string {
  return ssePath.replace(/[^/]*\/*$/, "messages");
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function segments(path: string): string[] {
  return path.split("/").filter(Boolean);
}

function rank(segment: string | undefined): number {
  if (segment === undefined) return 1;
  return segment.startsWith("**") ? 3 : segment.startsWith(":") || segment === "*" ? 2 : 0;
}

function compareSegments(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = rank(a[i]) - rank(b[i]);
    if (difference !== 0) return difference;
    if (a[i] !== b[i]) return (a[i] ?? "").localeCompare(b[i] ?? "");
  }
  return 0;
}
