/** JSON to read in which fields that were redacted are seen to be. */
import type { JSX } from "preact";
import { JsonView } from "../kit/json-view.tsx";
import { countRedacted } from "./model/redacted.ts";

export function RedactedJson({ value, open }: { readonly value: unknown; readonly open?: number }): JSX.Element {
  const hidden = countRedacted(value);
  return (
    <>
      <JsonView value={value} {...(open !== undefined && { open })} />
      {hidden > 0 && (
        <p class="run-redacted" title="Fields whose names are secret are never stored or shown; the engine's option says which">
          {hidden} {hidden === 1 ? "field is" : "fields are"} redacted
        </p>
      )}
    </>
  );
}
