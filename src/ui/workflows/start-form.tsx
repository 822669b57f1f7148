/**
 * Starts a run of a workflow: a form made from the schema of its input, or raw JSON for anything; with priority, metadata and
 * a time. What the workflow's own schema then says against the input, on a worker, is shown at the fields that it names.
 */
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { RunView, WorkflowView } from "../../protocol/view.ts";
import { ApiError, call, describeError } from "../api.ts";
import { Tabs } from "../kit/tabs.tsx";
import { check, type FieldIssue, issuesAt, type Path, samePath, setAt, toPath } from "./draft.ts";
import { JsonField } from "./json-field.tsx";
import { SchemaField } from "./schema-field.tsx";
import { blank, isSchema, type JsonSchema, shapeOf } from "./schema.ts";
import { StartedRun } from "./started-run.tsx";
import { readWhen, WhenFields, type When } from "./when-fields.tsx";

export interface StartFormProps {
  readonly workflow: WorkflowView;
  /** In read-only mode. */
  readonly disabled: boolean;
}

type Mode = "form" | "json";

export function StartForm({ workflow, disabled }: StartFormProps): JSX.Element {
  const schema = isSchema(workflow.spec.inputSchema) ? workflow.spec.inputSchema : undefined;
  const hasFields = useMemo(() => schema !== undefined && canBeForm(schema), [schema]);
  const [mode, setMode] = useState<Mode>(hasFields ? "form" : "json");
  const [draft, setDraft] = useState<unknown>(() => (schema === undefined ? {} : (blank(schema, schema) ?? {})));
  const [unreadable, setUnreadable] = useState<readonly FieldIssue[]>([]);
  const [issues, setIssues] = useState<readonly FieldIssue[]>([]);
  const [failure, setFailure] = useState<string | undefined>(undefined);
  const [priority, setPriority] = useState("");
  const [metadata, setMetadata] = useState<unknown>(undefined);
  const [when, setWhen] = useState<When>({ kind: "now", text: "" });
  const [busy, setBusy] = useState(false);
  const [started, setStarted] = useState<RunView | undefined>(undefined);

  const onChange = (path: Path, value: unknown) => {
    setDraft((before: unknown) => setAt(before, path, value));
    setFailure(undefined);
    // What was said against this place is about what stood there before.
    setIssues((before) => before.filter((issue) => !samePath(issue.path.slice(0, path.length), path)));
  };
  const onProblem = (path: Path, problem: string | undefined) =>
    setUnreadable((before) => [
      ...before.filter((issue) => !samePath(issue.path, path)),
      ...(problem === undefined ? [] : [{ path, message: problem }]),
    ]);

  const start = async () => {
    const found = [...unreadable, ...(mode === "form" && schema !== undefined ? check(draft, schema, schema) : [])];
    const order = priority.trim() === "" ? undefined : Number(priority);
    const time = readWhen(when);
    if (order !== undefined && !Number.isFinite(order)) found.push({ path: ["$priority"], message: "expected a number" });
    if (time.problem !== undefined) found.push({ path: ["$when"], message: time.problem });
    if (metadata !== undefined && !isSchema(metadata)) found.push({ path: ["$metadata"], message: "expected an object" });
    setIssues(found);
    setFailure(undefined);
    if (found.length > 0) {
      setFailure(found.length === 1 ? "One field needs another look." : `${found.length} fields need another look.`);
      return;
    }
    setBusy(true);
    try {
      setStarted(
        await call("run.create", {
          workflow: workflow.name,
          input: draft ?? null,
          ...(order !== undefined && { priority: order }),
          ...(isSchema(metadata) && { metadata: { ...metadata } }),
          ...time.request,
        }),
      );
    } catch (error) {
      refuse(describeError(error), error instanceof ApiError ? error.issues : undefined);
    } finally {
      setBusy(false);
    }
  };
  const refuse = (
    message: string,
    given: readonly { readonly path?: string | readonly (string | number)[]; readonly message: string }[] | undefined,
  ) => {
    setIssues((given ?? []).map((issue) => ({ path: toPath(issue.path), message: issue.message })));
    setFailure(message);
  };

  return (
    <form
      id="start"
      class="flows-section flows-form"
      aria-label="Start a run"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy && !disabled) void start();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !busy && !disabled) void start();
      }}
    >
      <h2>Start a run</h2>
      {hasFields && (
        <Tabs<Mode>
          label="How to give the input"
          tabs={[
            { id: "form", label: "Fields" },
            { id: "json", label: "JSON" },
          ]}
          active={mode}
          onSelect={(next) => {
            setMode(next);
            setUnreadable([]);
          }}
        />
      )}
      <fieldset class="flows-fields" disabled={disabled}>
        {mode === "form" && schema !== undefined ? (
          <SchemaField
            name="input"
            path={[]}
            schema={schema}
            root={schema}
            required
            value={draft}
            issues={[...issues, ...unreadable]}
            onChange={onChange}
            onProblem={onProblem}
          />
        ) : (
          <div class="flows-field" data-field="">
            <JsonField
              label="Input as JSON"
              rows={8}
              value={draft}
              onChange={(value) => onChange([], value)}
              onProblem={(problem) => onProblem([], problem)}
            />
          </div>
        )}
        <Issues
          issues={mode === "form" && schema !== undefined ? elsewhere(issues, schema) : issues.filter(({ path }) => !isOwn(path))}
        />
        <details class="flows-more">
          <summary>Priority, metadata, time</summary>
          <div class="flows-field" data-field="$priority">
            <label>
              Priority <span class="kit-muted">higher goes first</span>
              <input
                class="kit-input"
                inputMode="decimal"
                placeholder="0"
                value={priority}
                onInput={(event) => setPriority(event.currentTarget.value)}
              />
            </label>
            <Issues issues={issuesAt(issues, ["$priority"])} bare />
          </div>
          <div class="flows-field" data-field="$metadata">
            <span>
              Metadata <span class="kit-muted">copied to the run, for filters and handlers</span>
            </span>
            <JsonField
              label="Metadata as JSON"
              rows={2}
              value={metadata}
              onChange={setMetadata}
              onProblem={(problem) => onProblem(["$metadata"], problem)}
            />
            <Issues issues={issuesAt(issues, ["$metadata"])} bare />
          </div>
          <div class="flows-field" data-field="$when">
            <WhenFields when={when} onChange={setWhen} />
            <Issues issues={issuesAt(issues, ["$when"])} bare />
          </div>
        </details>
      </fieldset>
      {failure !== undefined && (
        <p class="flows-failure" role="alert">
          {failure}
        </p>
      )}
      {started === undefined ? (
        <button
          type="submit"
          class="kit-button"
          data-kind="primary"
          disabled={busy || disabled}
          title={disabled ? "This dashboard is read-only" : "Ctrl+Enter"}
        >
          {busy ? "Starting…" : "Start run"}
        </button>
      ) : (
        <StartedRun
          key={started.id}
          run={started}
          onRefused={(run) => refuse(`The workflow refuses this input: ${run.error?.message ?? run.reason ?? ""}`, issuesOf(run))}
          onAnother={() => {
            setStarted(undefined);
            setFailure(undefined);
            setIssues([]);
          }}
        />
      )}
    </form>
  );
}

/** Problems of places that have no field: of the whole input, or of what the schema does not name. */
function elsewhere(issues: readonly FieldIssue[], schema: JsonSchema): readonly FieldIssue[] {
  const names = new Set(shapeOf(schema, schema).properties.map(({ name }) => name));
  return issues.filter(({ path }) => !isOwn(path) && (path[0] === undefined || !names.has(String(path[0]))));
}

/** The form's own fields, which are no part of the input. */
function isOwn(path: Path): boolean {
  return String(path[0]).startsWith("$");
}

function Issues({
  issues,
  bare = false,
}: {
  readonly issues: readonly FieldIssue[];
  readonly bare?: boolean;
}): JSX.Element | null {
  if (issues.length === 0) return null;
  return (
    <div class="flows-about">
      {issues.map(({ path, message }, i) => (
        <span key={i} class="flows-issue" role="alert">
          {!bare && path.length > 0 && <code>{path.join(".")}</code>} {message}
        </span>
      ))}
    </div>
  );
}

/** An input that is no object, or any object, is better written as JSON. */
function canBeForm(schema: JsonSchema): boolean {
  const { kind, properties } = shapeOf(schema, schema);
  return kind === "object" ? properties.length > 0 : kind !== "json" && kind !== "null";
}

function issuesOf(run: RunView): readonly { readonly path?: readonly (string | number)[]; readonly message: string }[] {
  return (run.error?.issues ?? []).flatMap((issue) => {
    if (!isSchema(issue) || typeof issue["message"] !== "string") return [];
    const path = issue["path"];
    const parts = Array.isArray(path)
      ? path.filter((part): part is string | number => typeof part === "string" || typeof part === "number")
      : [];
    return [{ path: parts, message: issue["message"] }];
  });
}
