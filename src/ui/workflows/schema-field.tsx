/**
 * One place of a form that is made from a JSON Schema: a control for what the schema wants there, and inside of it the places
 * that it has. The draft belongs to the form; a field only says what is to stand at its path.
 */
import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { type FieldIssue, issuesAt, type Path } from "./draft.ts";
import type { SchemaFieldProps } from "./field-props.ts";
import { JsonField } from "./json-field.tsx";
import { ArrayField, ObjectField, RecordField, UnionField } from "./nested-fields.tsx";
import { constraintsOf, type Shape, shapeOf } from "./schema.ts";

export function SchemaField(props: SchemaFieldProps): JSX.Element {
  const { path, schema, root, value } = props;
  const shape = shapeOf(schema, root);
  switch (shape.kind) {
    case "object":
      return <ObjectField {...props} shape={shape} field={SchemaField} />;
    case "array":
      return <ArrayField {...props} shape={shape} field={SchemaField} />;
    case "record":
      return <RecordField {...props} shape={shape} field={SchemaField} />;
    case "union":
      return <UnionField {...props} shape={shape} field={SchemaField} />;
    case "json":
    case "null":
      return (
        <Labelled {...props} shape={shape} whole>
          {(id, describedBy) => (
            <JsonField
              id={id}
              describedBy={describedBy}
              value={value}
              onChange={(next) => props.onChange(path, next)}
              onProblem={(problem) => props.onProblem(path, problem)}
            />
          )}
        </Labelled>
      );
    default:
      return (
        <Labelled {...props} shape={shape}>
          {(id, describedBy, invalid) => <Control {...props} shape={shape} id={id} describedBy={describedBy} invalid={invalid} />}
        </Labelled>
      );
  }
}

export interface LabelledProps {
  readonly name: string;
  readonly path: Path;
  readonly shape: Shape;
  readonly required: boolean;
  readonly issues: readonly FieldIssue[];
  /** Problems inside of it are shown here, since it has no fields for them. */
  readonly whole?: boolean;
  readonly children: (id: string, describedBy: string, invalid: boolean) => JSX.Element;
}

/** Name, type, description, control, problems. */
export function Labelled({ name, path, shape, required, issues, whole = false, children }: LabelledProps): JSX.Element {
  const id = useId();
  const own = issuesAt(issues, path, whole);
  return (
    <div class="flows-field" data-field={path.join(".")} data-invalid={own.length > 0}>
      <label for={id}>
        {shape.title ?? name}
        {!required && <span class="kit-muted"> optional</span>}
        <span class="flows-type">{constraintsOf(shape)}</span>
      </label>
      {children(id, `${id}-about`, own.length > 0)}
      <div id={`${id}-about`} class="flows-about">
        {shape.description !== undefined && <span class="kit-muted">{shape.description}</span>}
        {own.map((issue, i) => (
          <span key={i} class="flows-issue" role="alert">
            {issue.path.length > path.length ? `${issue.path.slice(path.length).join(".")}: ` : ""}
            {issue.message}
          </span>
        ))}
      </div>
    </div>
  );
}

interface ControlProps extends SchemaFieldProps {
  readonly shape: Shape;
  readonly id: string;
  readonly describedBy: string;
  readonly invalid: boolean;
}

function Control(props: ControlProps): JSX.Element {
  const { shape, path, required, value, onChange, id, describedBy, invalid } = props;
  const common = { id, class: "kit-input", "aria-describedby": describedBy, "aria-invalid": invalid };
  switch (shape.kind) {
    case "boolean":
      if (required && !shape.nullable && shape.fallback === undefined)
        return (
          <input
            id={id}
            type="checkbox"
            class="flows-check"
            aria-describedby={describedBy}
            checked={value === true}
            onChange={(event) => onChange(path, event.currentTarget.checked)}
          />
        );
      return <Choices {...props} choices={[true, false]} common={common} />;
    case "choice":
      return <Choices {...props} choices={shape.choices} common={common} />;
    case "number":
    case "integer":
      return <NumberControl {...props} common={common} />;
    default: {
      const text = typeof value === "string" ? value : "";
      const onInput = (event: { readonly currentTarget: { readonly value: string } }) => {
        const typed = event.currentTarget.value;
        // An empty field is an empty text only where a text has to be.
        onChange(path, typed === "" ? (shape.nullable ? null : required ? "" : undefined) : typed);
      };
      const placeholder = placeholderOf(shape);
      const { format, maxLength } = shape.schema;
      const short = typeof format === "string" || (typeof maxLength === "number" && maxLength <= 80) || "pattern" in shape.schema;
      return short ? (
        <input {...common} type="text" spellcheck={false} value={text} placeholder={placeholder} onInput={onInput} />
      ) : (
        <textarea {...common} rows={1} value={text} placeholder={placeholder} onInput={onInput} />
      );
    }
  }
}

interface CommonProps {
  readonly id: string;
  readonly class: string;
  readonly "aria-describedby": string;
  readonly "aria-invalid": boolean;
}

function Choices({
  shape,
  path,
  required,
  value,
  onChange,
  choices,
  common,
}: ControlProps & { readonly choices: readonly unknown[]; readonly common: CommonProps }): JSX.Element {
  const texts = choices.map((choice) => (typeof choice === "string" ? choice : JSON.stringify(choice)));
  const at = choices.findIndex((choice) => JSON.stringify(choice) === JSON.stringify(value));
  return (
    <select
      {...common}
      value={value === null && shape.nullable ? "null" : String(at)}
      onChange={(event) => {
        const chosen = event.currentTarget.value;
        onChange(path, chosen === "null" ? null : choices[Number(chosen)]);
      }}
    >
      <option value="-1">
        {shape.fallback !== undefined ? `default: ${JSON.stringify(shape.fallback.value)}` : required ? "choose" : "not set"}
      </option>
      {shape.nullable && <option value="null">null</option>}
      {texts.map((text, i) => (
        <option key={text} value={String(i)}>
          {text}
        </option>
      ))}
    </select>
  );
}

/** Keeps what is typed, since `1.` on the way to `1.5` is no number yet. */
function NumberControl({
  shape,
  path,
  value,
  onChange,
  onProblem,
  common,
}: ControlProps & { readonly common: CommonProps }): JSX.Element {
  const [typed, setTyped] = useState<string | undefined>(undefined);
  const shown = typed !== undefined && read(typed) === value ? typed : typeof value === "number" ? String(value) : (typed ?? "");
  return (
    <input
      {...common}
      type="text"
      inputMode="decimal"
      value={shown}
      placeholder={placeholderOf(shape)}
      onInput={(event) => {
        const text = event.currentTarget.value;
        setTyped(text);
        const number = read(text);
        onProblem(path, text.trim() !== "" && number === undefined ? "is not a number" : undefined);
        onChange(path, number ?? (shape.nullable ? null : undefined));
      }}
    />
  );
}

function read(text: string): number | undefined {
  const number = Number(text.trim().replace(",", "."));
  return text.trim() === "" || !Number.isFinite(number) ? undefined : number;
}

function placeholderOf({ fallback, nullable }: Shape): string {
  if (fallback !== undefined) return `default: ${JSON.stringify(fallback.value)}`;
  return nullable ? "null" : "";
}
