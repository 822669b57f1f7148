/** Places of a form that have places inside: objects, lists, objects with free names, and one of several shapes. */
import type { ComponentChildren, ComponentType, JSX } from "preact";
import { useState } from "preact/hooks";
import { Button } from "../kit/button.tsx";
import { issuesAt, type FieldIssue, type Path } from "./draft.ts";
import type { SchemaFieldProps } from "./field-props.ts";
import { blank, type JsonSchema, type Shape, variantName, variantOf } from "./schema.ts";

export interface NestedProps extends SchemaFieldProps {
  readonly shape: Shape;
  /** For the places inside, which may be of any kind. */
  readonly field: ComponentType<SchemaFieldProps>;
}

export function ObjectField(props: NestedProps): JSX.Element {
  const { path, shape, required, value, root, schema, onChange } = props;
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  // The input itself has no frame around it.
  if (path.length === 0) return <Properties {...props} />;
  return (
    <Frame
      {...props}
      actions={
        !required &&
        (isObject ? (
          <Button kind="quiet" onClick={() => onChange(path, undefined)}>
            Leave out
          </Button>
        ) : (
          <Button onClick={() => onChange(path, blank({ ...schema, type: "object" }, root) ?? {})}>Fill in</Button>
        ))
      }
    >
      {(isObject || required) && <Properties {...props} />}
      {!isObject && !required && (
        <span class="kit-muted">
          {shape.fallback === undefined ? "not set" : `default: ${JSON.stringify(shape.fallback.value)}`}
        </span>
      )}
    </Frame>
  );
}

function Properties({ field: Field, path, shape, root, value, issues, onChange, onProblem }: NestedProps): JSX.Element {
  const values = typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  if (shape.properties.length === 0) return <p class="kit-muted">Nothing to fill in.</p>;
  return (
    <>
      {shape.properties.map(({ name, schema, required }) => (
        <Field
          key={name}
          name={name}
          path={[...path, name]}
          schema={schema}
          root={root}
          required={required}
          value={Object.hasOwn(values, name) ? values[name] : undefined}
          issues={issues}
          onChange={onChange}
          onProblem={onProblem}
        />
      ))}
    </>
  );
}

export function ArrayField(props: NestedProps): JSX.Element {
  const { field: Field, path, shape, root, value, issues, required, onChange, onProblem } = props;
  const items: readonly unknown[] = Array.isArray(value) ? value : [];
  const of = shape.schema["items"] as JsonSchema;
  const put = (next: readonly unknown[]): void => onChange(path, next.length === 0 && !required ? undefined : next);
  return (
    <Frame {...props} actions={<Button onClick={() => put([...items, blank(of, root) ?? null])}>Add</Button>}>
      {items.length === 0 && (
        <span class="kit-muted">
          {shape.fallback === undefined ? "empty" : `default: ${JSON.stringify(shape.fallback.value)}`}
        </span>
      )}
      {items.map((item, i) => (
        <div key={i} class="flows-item">
          <Field
            name={String(i + 1)}
            path={[...path, i]}
            schema={of}
            root={root}
            required
            value={item === null ? undefined : item}
            issues={issues}
            // A list has no holes: an entry without a value is null until it has one.
            onChange={(at, changed) => onChange(at, at.length === path.length + 1 && changed === undefined ? null : changed)}
            onProblem={onProblem}
          />
          <Button kind="quiet" aria-label={`Remove entry ${i + 1}`} onClick={() => put(items.filter((_, at) => at !== i))}>
            ✕
          </Button>
        </div>
      ))}
    </Frame>
  );
}

export function RecordField(props: NestedProps): JSX.Element {
  const { field: Field, path, shape, root, value, issues, required, onChange, onProblem } = props;
  const [name, setName] = useState("");
  const entries = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
  const of = shape.schema["additionalProperties"] as JsonSchema;
  const add = (): void => {
    if (name === "") return;
    const others = typeof value === "object" && value !== null ? (value as object) : {};
    onChange(path, { ...others, [name]: blank(of, root) ?? null });
    setName("");
  };
  return (
    <Frame {...props}>
      {entries.map(([entry, item]) => (
        <div key={entry} class="flows-item">
          <Field
            name={entry}
            path={[...path, entry]}
            schema={of}
            root={root}
            required
            value={item === null ? undefined : item}
            issues={issues}
            onChange={(at, changed) => onChange(at, at.length === path.length + 1 && changed === undefined ? null : changed)}
            onProblem={onProblem}
          />
          <Button
            kind="quiet"
            aria-label={`Remove ${entry}`}
            onClick={() => {
              const rest = entries.filter(([other]) => other !== entry);
              onChange(path, rest.length === 0 && !required ? undefined : Object.fromEntries(rest));
            }}
          >
            ✕
          </Button>
        </div>
      ))}
      <div class="flows-add">
        <input
          class="kit-input"
          aria-label={`Name of a new entry of ${props.name}`}
          placeholder="name"
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            add();
          }}
        />
        <Button disabled={name === ""} onClick={add}>
          Add
        </Button>
      </div>
    </Frame>
  );
}

export function UnionField(props: NestedProps): JSX.Element {
  const { field: Field, shape, root, value, path, required, onChange } = props;
  const [chosen, setChosen] = useState(() =>
    value === undefined || value === null ? -1 : variantOf(value, shape.variants, root),
  );
  const at = chosen === -1 && required ? 0 : chosen;
  const variant = shape.variants[at];
  return (
    <Frame
      {...props}
      actions={
        <select
          class="kit-input"
          aria-label={`Kind of ${props.name}`}
          value={String(at)}
          onChange={(event) => {
            const next = Number(event.currentTarget.value);
            const schema = shape.variants[next];
            setChosen(next);
            onChange(path, schema === undefined ? undefined : blank(schema, root));
          }}
        >
          {!required && <option value="-1">not set</option>}
          {shape.variants.map((one, i) => (
            <option key={i} value={String(i)}>
              {variantName(one, root)}
            </option>
          ))}
        </select>
      }
    >
      {variant !== undefined && <Field key={at} {...props} name={variantName(variant, root)} schema={variant} required />}
    </Frame>
  );
}

interface FrameProps {
  readonly name: string;
  readonly path: Path;
  readonly shape: Shape;
  readonly required: boolean;
  readonly issues: readonly FieldIssue[];
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}

function Frame({ name, path, shape, required, issues, actions, children }: FrameProps): JSX.Element {
  const own = issuesAt(issues, path);
  return (
    <fieldset class="flows-frame" data-field={path.join(".")} data-invalid={own.length > 0}>
      <legend>
        {shape.title ?? name}
        {!required && <span class="kit-muted"> optional</span>}
        <span class="flows-type">
          {shape.kind === "record"
            ? "names and values"
            : shape.kind === "array"
              ? "list"
              : shape.kind === "union"
                ? "one of"
                : "object"}
        </span>
      </legend>
      {shape.description !== undefined && <p class="kit-muted">{shape.description}</p>}
      {own.map((issue, i) => (
        <span key={i} class="flows-issue" role="alert">
          {issue.message}
        </span>
      ))}
      {children}
      {actions !== undefined && actions !== false && <div class="flows-frame-actions">{actions}</div>}
    </fieldset>
  );
}
