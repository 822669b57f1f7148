/**
 * The public interface of `sluice`: what an application needs to define workflows, to run them on worker nodes and to start
 * them. Named exports only; whatever is not here is internal.
 */
export {
  DefinitionError,
  EngineUnavailableError,
  InputInvalidError,
  NatsUnavailableError,
  NonRetryableError,
  NotConnectedError,
  OptionsError,
  PayloadTooLargeError,
  PermissionDeniedError,
  RequestError,
  RunCancelledError,
  RunFailedError,
  RunNotFoundError,
  SluiceError,
  StreamFullError,
  TimeoutError,
  WorkflowNotFoundError,
  isDefinitionError,
  isEngineUnavailableError,
  isInputInvalidError,
  isNatsUnavailableError,
  isNonRetryableError,
  isNotConnectedError,
  isOptionsError,
  isPayloadTooLargeError,
  isPermissionDeniedError,
  isRequestError,
  isRunCancelledError,
  isRunFailedError,
  isRunNotFoundError,
  isSluiceError,
  isStreamFullError,
  isTimeoutError,
  isWorkflowNotFoundError,
} from "./errors.ts";
export { Client, connect } from "./client/connect.ts";
export { PublishManyError } from "./client/publish.ts";
export { RunHandle } from "./client/run-handle.ts";
export { startWorker } from "./worker/start-worker.ts";
export { defineWorkflow, isWorkflow } from "./workflow/define.ts";
export { Strategy } from "./workflow/spec.ts";

export type { ConnectOptions, GroupId, PublishManyOptions, RunOptions } from "./client/connect.ts";
export type { Pages } from "./client/pages.ts";
export type { EventInput, PublishOptions, PublishResult } from "./client/publish.ts";
export type { ResultOptions } from "./client/run-handle.ts";
export type { ErrorCode, ErrorData, InputIssue } from "./errors.ts";
export type { ConnectionOptions, TlsOptions } from "./nats/connection.ts";
export type {
  BulkItem,
  GroupDecisionView,
  GroupMachineView,
  HealthVerdict,
  HealthView,
  Population,
  RejectedView,
  RunFrame,
  RunRecord,
} from "./protocol/record.ts";
export type {
  EventView,
  Explanation,
  GroupView,
  NodePartitionView,
  NodeView,
  Page,
  RunChange,
  RunChangeMessage,
  RunEventView,
  RunListQuery,
  RunStatus,
  RunView,
  StepStatus,
  StepView,
  WorkerView,
  WorkflowView,
} from "./protocol/view.ts";
export type { Worker } from "./worker/start-worker.ts";
export type { WorkerOptions } from "./worker/options.ts";
export type { Duration } from "./workflow/duration.ts";
export type { WorkflowSpec } from "./workflow/spec.ts";
export type { InputSchema } from "./workflow/standard-schema.ts";
export type { KeyContext, LimitKey, Metadata, StepContext, TriggerEvent } from "./workflow/step-context.ts";
export type {
  AnyWorkflow,
  BackoffOptions,
  ConcurrencyOptions,
  CronOptions,
  StepDefaults,
  StepOptions,
  Workflow,
  WorkflowInput,
  WorkflowOptions,
  WorkflowOutputs,
} from "./workflow/workflow.ts";
