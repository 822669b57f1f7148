/** `sluice workflows`: the definitions that workers have registered. */
import type { Command } from "commander";
import type { WorkflowView } from "../../protocol/view.ts";
import type { LimitSpec, StepSpec } from "../../workflow/spec.ts";
import { formatDuration } from "../../workflow/duration.ts";
import type { Cli, ClientOptions } from "../cli.ts";
import { formatAge } from "../format.ts";
import { withClient } from "../options.ts";
import { renderTable } from "../table.ts";
import { collect } from "./paging.ts";

export function addWorkflowsCommands(program: Command, cli: Cli): void {
  const workflows = program.command("workflows").description("list the registered workflows, show one");

  withClient(workflows.command("list").description("all workflows that a worker has registered")).action(
    (options: ClientOptions) =>
      cli.withClient(options, async (client) => {
        const page = await collect(client.workflows.list(), "all");
        if (options.json === true) return cli.json(page);
        const now = cli.now();
        cli.table(
          [
            { title: "WORKFLOW" },
            { title: "VERSION" },
            { title: "STARTS ON" },
            { title: "STEPS" },
            { title: "LIMITS" },
            { title: "REGISTERED" },
          ],
          page.items.map(({ name, version, spec, registeredAt }) => [
            name,
            version,
            triggersOf(spec).join(", "),
            spec.steps.map((step) => step.name).join(", "),
            spec.limits.map(limitText).join(", "),
            formatAge(registeredAt, now),
          ]),
          "no workflows: a worker registers its workflows when it starts (sluice worker <files>)",
        );
      }),
  );

  withClient(workflows.command("get").description("everything about one workflow").argument("<name>")).action(
    (name: string, options: ClientOptions) =>
      cli.withClient(options, async (client) => showWorkflow(cli, await client.workflows.get(name), options)),
  );
}

function showWorkflow(cli: Cli, workflow: WorkflowView, options: ClientOptions): void {
  if (options.json === true) return cli.json(workflow);
  const { spec } = workflow;
  cli.details([
    ["workflow", { text: workflow.name, style: "bold" }],
    ["version", workflow.version],
    ["earlier versions", workflow.versions.filter((version) => version !== workflow.version).join(", ")],
    ["registered", `${workflow.registeredAt} (${formatAge(workflow.registeredAt, cli.now())})`],
    ["starts on", triggersOf(spec).join(", ")],
    ["next by cron", workflow.nextCron?.join(", ")],
    ...spec.limits.map((limit) => ["limit", `${limitText(limit)}, name ${limit.name}`] as const),
    ["may wait", spec.scheduleTimeoutMs === undefined ? undefined : formatDuration(spec.scheduleTimeoutMs)],
    ["when a step fails", spec.onStepFailure === "cancel" ? "cancel the others" : "let the others finish"],
    ["grace", formatDuration(spec.graceMs)],
  ]);
  cli.print(
    "",
    ...renderTable(
      [
        { title: "STEP" },
        { title: "AFTER" },
        { title: "RETRIES", align: "right" },
        { title: "BACKOFF" },
        { title: "TIMEOUT" },
        { title: "MAY WAIT" },
      ],
      spec.steps.map((step) => [
        step.name,
        step.after.join(", "),
        step.retries,
        backoffText(step),
        step.timeoutMs === undefined ? undefined : formatDuration(step.timeoutMs),
        formatDuration(step.scheduleTimeoutMs),
      ]),
      cli.paint,
    ),
  );
}

function triggersOf({ on, cron }: WorkflowView["spec"]): string[] {
  return [...on, ...cron.map(({ expression, timezone }) => `cron ${expression}${timezone === undefined ? "" : ` ${timezone}`}`)];
}

function limitText({ key, maxRuns, strategy }: LimitSpec): string {
  return `${maxRuns} per ${key.kind === "cel" ? key.expression : "key function"} (${strategy})`;
}

function backoffText({ retries, backoff }: StepSpec): string | undefined {
  if (retries === 0) return undefined;
  return `${formatDuration(backoff.minMs)} ×${backoff.factor} up to ${formatDuration(backoff.maxMs)}`;
}
