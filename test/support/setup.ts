/**
 * Runs in the process of every test file, before it: carries out the clean-ups that tests register, and fails a file that
 * leaves a process behind. Hooks run in reverse order at the end, so these come after those of the file itself.
 */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeEach } from "vitest";
import { beginTest, endFile, endTest } from "./cleanup.ts";
import { endLeftovers, markDescendants } from "./leftovers.ts";

const mark = markDescendants(randomUUID());

beforeEach(() => beginTest());
afterEach(async () => await endTest());
afterAll(async () => {
  await endFile();
  const leftovers = await endLeftovers(mark);
  if (leftovers.length > 0)
    throw new Error(`this test file left processes behind (they were ended now):\n  ${leftovers.join("\n  ")}`);
});
