/** `sluice/testing`: flow control and workflows in virtual time, in memory, without a server, for tests. */
export { createTestSluice } from "./test-sluice.ts";

export type { TestHandlers, TestSluiceOptions } from "./options.ts";
export type { TestRun } from "./test-run.ts";
export type { TestGroupId, TestPublishOptions, TestRunOptions, TestRunQuery, TestSluice } from "./test-sluice.ts";
export type { AddWorkerOptions, TestWorkers, TestWorkerView } from "./test-workers.ts";
