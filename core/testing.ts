export { createPenstock } from "./app.ts";
