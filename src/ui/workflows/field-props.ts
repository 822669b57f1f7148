/** What every place of a form is given. */
import type { FieldIssue, Path } from "./draft.ts";
import type { JsonSchema } from "./schema.ts";

export interface SchemaFieldProps {
  readonly name: string;
  readonly path: Path;
  readonly schema: JsonSchema;
  readonly root: JsonSchema;
  readonly required: boolean;
  readonly value: unknown;
  readonly issues: readonly FieldIssue[];
  /** undefined: nothing stands there. */
  readonly onChange: (path: Path, value: unknown) => void;
  /** Whether the text of a field cannot be read: then the form is not to be sent. */
  readonly onProblem: (path: Path, problem: string | undefined) => void;
}
