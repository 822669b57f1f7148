/**
 * Things to undo when a test or a test file ends, whatever its outcome. `setup.ts` runs them: last registered, first undone.
 * Registered while a test or its `beforeEach` runs, an action belongs to that test; otherwise to the file.
 */
type Undo = () => unknown;

let test: Undo[] | undefined;
const file: Undo[] = [];

/** Has `undo` run, and awaited, at the end of the current test, or of the file outside of a test. */
export function onCleanup(undo: Undo): void {
  (test ?? file).push(undo);
}

/** For `setup.ts` only. */
export function beginTest(): void {
  test = [];
}

/** For `setup.ts` only. */
export async function endTest(): Promise<void> {
  const actions = test ?? [];
  test = undefined;
  await undoAll(actions);
}

/** For `setup.ts` only. */
export async function endFile(): Promise<void> {
  await undoAll(file.splice(0));
}

async function undoAll(actions: Undo[]): Promise<void> {
  const errors: unknown[] = [];
  for (const undo of actions.reverse()) {
    try {
      await undo();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, "several clean-ups failed");
}
