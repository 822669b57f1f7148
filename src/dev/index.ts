/** `sluice/dev`: the whole system in one process, for scripts and tests. */
export { NatsServerError } from "./nats-server-error.ts";
export { startDev } from "./start-dev.ts";
export type { NatsServerErrorCode } from "./nats-server-error.ts";
export type { Dev, DevOptions } from "./start-dev.ts";
