import { TestRunner } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** The test has started a process of its project's runtime. */
    startedProcess?: boolean;
    /** Why it is expected to fail on its project's runtime. */
    deviation?: string;
  }
}

/** Remembers that the test which runs now has something to say about its project's runtime. */
export function noteProcess(): void {
  const test = TestRunner.getCurrentTest();
  if (test) test.meta.startedProcess = true;
}
