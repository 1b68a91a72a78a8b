/** The reference model: what each side must have seen when everything is over. */
import { isDeepStrictEqual } from "node:util";
import { type Asked, answerTo, sentArguments } from "./client/asked.ts";
import type { ScriptedClient } from "./client/client.ts";
import type { Ledger, Run } from "./ledger.ts";
import { isLost } from "./losses.ts";
import { BIG, type Level, type Question, type Sequence, isModern } from "./plan.ts";
import { reaches } from "./server/messages.ts";

interface Seen {
  sequence: Sequence;
  ledger: Ledger;
  calls: ReadonlyMap<string, Asked>;
  everyone: readonly ScriptedClient[];
}

export function judge({ sequence, ledger, calls, everyone }: Seen): void {
  const say = (text: string) => ledger.violation(text);
  for (const asked of calls.values()) judgeCall(sequence, asked, ledger.runs.get(asked.call.nonce), say);
  for (const nonce of ledger.runs.keys()) if (!calls.has(nonce)) say(`the server ran ${nonce}, which nobody called`);
  judgeSessions(ledger, say);
  for (const { index, news, everSubscribed } of everyone)
    for (const one of news) {
      const [, uri] = /^notifications\/resources\/updated (.*)$/.exec(one) ?? [];
      if (uri !== undefined && !everSubscribed.has(uri))
        say(`client ${index} heard of ${uri}, for which it never asked`);
    }
}

/** A session with a server belongs to one caller. */
function judgeSessions({ runs }: Ledger, say: (text: string) => void): void {
  const owners = new Map<string, string>();
  for (const { nonce, session } of runs.values()) {
    if (session === undefined) continue;
    const owner = owners.get(session);
    if (owner !== undefined && owner !== nonce[4])
      say(`a session with the server serves clients ${owner} and ${nonce[4]}`);
    owners.set(session, nonce[4]!);
  }
}

function judgeCall(sequence: Sequence, asked: Asked, run: Run | undefined, say: (text: string) => void): void {
  const mayLoseSessions = sequence.ops.some(({ op }) => op === "restart") && !isModern(sequence.server);
  const { call, finals, cancelled, left, lost, disturbed } = asked;
  const { nonce } = call;
  const isWhole = !cancelled && !left && !disturbed && lost !== "for good";
  const ends = endsByError(asked, sequence);
  if (run) {
    const own = sentArguments(call);
    if (run.args.some((args) => args !== own))
      say(`${nonce} came with other arguments: ${run.args.find((args) => args !== own)} in place of ${own}`);
    if (run.begun.filter((from) => from === 0).length > 1) say(`${nonce} was begun twice`);
    judgeAnswers(sequence, asked, run, isWhole && !ends, say);
    if (!cancelled && !left && !disturbed && run.cancelled > 0)
      say(`${nonce} was cancelled at the server, and nobody meant it`);
  } else if (hasLostSession(asked)) {
    // The server had lost the session, and refused the call before it ran.
    if (!mayLoseSessions) say(`${nonce}: a session was lost without a restart`);
    return;
  } else if (isWhole && !call.unknown) say(`${nonce} never came to the server`);
  if (asked.cut !== undefined && !cancelled && !left && lost !== "for good")
    say(`${nonce} ended without a response: ${asked.cut}`);
  if (finals.length > 1) say(`${nonce} has ${finals.length} responses`);
  if (!isWhole) return;
  const [final] = finals;
  if (!final) return say(`${nonce} has no response`);
  const { message, raw } = final;
  if (ends) {
    if (!message.error && message.result?.isError !== true)
      say(`${nonce}: its client refused to answer, and yet ${raw}`);
    return;
  }
  judgeValue(asked, raw, say);
  const values = call.progress ? call.steps.flatMap((step) => (step.do === "progress" ? [step.value] : [])) : [];
  if (!isDeepStrictEqual(asked.progress, values)) say(`${nonce}: progress ${asked.progress} in place of ${values}`);
  judgeLogs(sequence, asked, say);
  for (const { key, kind } of questionsOf(asked))
    // A legacy client is asked for roots on behalf of no call.
    if ((kind !== "roots" || isModern(sequence.client)) && asked.questions.get(key) !== 1)
      say(`${nonce} ${key} was asked ${asked.questions.get(key) ?? 0} times`);
}

function hasLostSession({ finals }: Asked): boolean {
  return JSON.stringify(finals[0]?.message.error?.data)?.includes("SERVER_LOST_SESSION") ?? false;
}

function judgeValue({ call, finals }: Asked, raw: string, say: (text: string) => void): void {
  const { message } = finals[0]!;
  const { nonce, end } = call;
  const code = call.unknown ? -32602 : end === "error" ? 1234 : undefined;
  if (code !== undefined) {
    if (message.error?.code !== code) say(`${nonce}: ${raw.slice(0, 300)} in place of error ${code}`);
    return;
  }
  if (!message.result) return say(`${nonce}: ${raw.slice(0, 300)} in place of a result`);
  if (!raw.includes(nonce) || !raw.includes(`"big":${BIG}`)) {
    const isInUri = raw.includes(Buffer.from(`"nonce":"${nonce}"`).toString("base64url").slice(2, -4));
    if (!isInUri) say(`${nonce}: the value is another: ${raw.slice(0, 400)}`);
  }
  if ((message.result.isError === true) !== (end === "fail")) say(`${nonce}: isError is wrong: ${raw.slice(0, 300)}`);
}

function judgeAnswers(
  { server, client }: Sequence,
  asked: Asked,
  run: Run,
  isWhole: boolean,
  say: (text: string) => void,
): void {
  const { nonce } = asked.call;
  for (const question of questionsOf(asked)) {
    const answers = run.answers.get(question.key) ?? [];
    if (answers.length > 1) say(`${nonce} ${question.key} was answered ${answers.length} times`);
    const answer = answerTo(asked, question);
    const expected: unknown[] = answer && "result" in answer ? [answer.result] : [{ error: -1 }];
    if (isLost("answer with an error", client, server) && answer && "error" in answer)
      expected.push({ action: "cancel" });
    // Nobody answered: the bridge may do so when it gives up.
    if (!answer) expected.push({ action: "cancel" }, answers[0]);
    if (!isWhole && answers.length === 1 && typeof answers[0] === "object" && "error" in answers[0]!) continue;
    if (answers.length === 1 && !expected.some((one) => isDeepStrictEqual(one, answers[0])))
      say(
        `${nonce} ${question.key} was answered ${JSON.stringify(answers[0])} in place of ${JSON.stringify(expected)}`,
      );
    if (isWhole && answers.length !== 1) say(`${nonce} ${question.key} was answered ${answers.length} times`);
  }
}

function judgeLogs({ client, server }: Sequence, asked: Asked, say: (text: string) => void): void {
  const { nonce, steps } = asked.call;
  const all = steps.flatMap((step) => (step.do === "log" ? [step.level] : []));
  const least = asked.level ?? (isModern(client) ? undefined : "debug");
  const due = all.filter((level) => reaches(level, least));
  const mayMiss =
    isLost("log messages", client, server) ||
    (asked.level === undefined && isLost("logs before a level was set", client, server));
  const isSubset = asked.logs.every((level) => due.includes(level as Level)) && asked.logs.length <= due.length;
  if (mayMiss ? !isSubset : asked.logs.toString() !== due.toString())
    say(`${nonce}: logs ${asked.logs} in place of ${due} (level ${asked.level})`);
}

/** A legacy client answered with an error what a modern server asked: the call may end there. */
function endsByError(asked: Asked, { client, server }: Sequence): boolean {
  if (!isLost("answer with an error", client, server)) return false;
  const refused = questionsOf(asked).find(({ key }) => asked.call.replies[key] === "error");
  if (!refused) return false;
  const isElicitation = refused.kind === "form" || refused.kind === "url";
  const isEnd = asked.finals[0]?.message.error !== undefined && asked.finals[0].message.error.code !== 1234;
  return !isElicitation || isEnd;
}

function questionsOf({ call }: Asked): Question[] {
  return call.steps.flatMap((step) => (step.do === "ask" ? step.questions : []));
}
