// The MCP server behind bridges that can only start a command: JSON lines in, JSON lines out, one write per read.
import { answerTo } from "../canned.mjs";

let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  const answers = lines.map(answerTo).filter(Boolean);
  if (answers.length > 0) process.stdout.write(`${answers.join("\n")}\n`);
});
