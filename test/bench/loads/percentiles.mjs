/** Ends a load generator: its figures as one line, in the form that `wrk.mjs` gives too. Times are in milliseconds. */
export function print({ latencies, seconds, errors = {}, error }) {
  const sorted = Float64Array.from(latencies).toSorted();
  const micros = (share) =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 1000);
  const seen = Object.entries(errors).map(([what, count]) => `${count} × ${what}`);
  const problem =
    error ?? (seen.length > 0 ? seen.join(", ") : sorted.length === 0 ? "no request was answered" : undefined);
  const figures = { rate: sorted.length / seconds, requests: sorted.length, p50: micros(0.5), p99: micros(0.99) };
  process.stdout.write(`BENCH ${JSON.stringify({ ...figures, error: problem })}\n`, () => process.exit(0));
}
