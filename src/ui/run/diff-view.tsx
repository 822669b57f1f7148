/** A value with what changed in it marked: what was touched is open, the rest is closed until it is asked for. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { DiffNode } from "./model/json-diff.ts";
import { previewOf } from "./model/json-text.ts";

const SHOWN = 200;

export function DiffView({ root }: { readonly root: DiffNode }): JSX.Element {
  return (
    <div class="kit-json diff">
      {root.children === undefined ? (
        <Leaf node={root} />
      ) : (
        root.children.map((child) => <Node key={child.path} node={child} depth={0} />)
      )}
    </div>
  );
}

function Node({ node, depth }: { readonly node: DiffNode; readonly depth: number }): JSX.Element {
  const [chosen, setChosen] = useState<boolean>();
  const [all, setAll] = useState(false);
  if (node.children === undefined || node.children.length === 0) return <Leaf node={node} />;
  const open = chosen ?? (node.touched || depth < 1);
  const children = all ? node.children : node.children.slice(0, SHOWN);
  return (
    <div class="diff-node" data-mark={node.mark}>
      <button type="button" class="diff-toggle" aria-expanded={open} onClick={() => setChosen(!open)}>
        <span class="diff-caret" aria-hidden="true">
          {open ? "▾" : "▸"}
        </span>
        <span class="kit-json-key">{node.name}</span>
        {node.before !== undefined && <del>{previewOf(node.before, 60)}</del>}
        {!open && <span class="kit-muted">{previewOf(node.value, 80)}</span>}
      </button>
      {open && (
        <div class="kit-json-children">
          {children.map((child) => (
            <Node key={child.path} node={child} depth={depth + 1} />
          ))}
          {children.length < node.children.length && (
            <button type="button" class="kit-button" data-kind="quiet" onClick={() => setAll(true)}>
              {node.children.length - children.length} more
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function Leaf({ node }: { readonly node: DiffNode }): JSX.Element {
  return (
    <div class="diff-leaf" data-mark={node.mark}>
      {node.name !== "" && <span class="kit-json-key">{node.name}: </span>}
      {node.mark === "changed" && (
        <>
          <del>{previewOf(node.before, 200)}</del> <span aria-hidden="true">→ </span>
        </>
      )}
      <span class={kindOf(node.value)}>
        {node.mark === "removed" ? <del>{previewOf(node.value, 400)}</del> : previewOf(node.value, 2_000)}
      </span>
      {node.mark !== "same" && <span class="sr-only"> ({node.mark})</span>}
    </div>
  );
}

function kindOf(value: unknown): string {
  return typeof value === "string" ? "kit-json-string" : typeof value === "number" ? "kit-json-number" : "kit-json-literal";
}
