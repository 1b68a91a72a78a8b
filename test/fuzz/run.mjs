/** `npm run fuzz`. */
import "./typescript.mjs";

// Servers of the fuzzer know what they are asked: probes come from nobody.
process.env.PENSTOCK_PROBE_INTERVAL ??= "0";
await import("./main.ts");
