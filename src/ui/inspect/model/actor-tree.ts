/** The actors of a program as rows of a tree: whoever started one stands above it. Pure. */
import type { InspectActorView } from "../../../protocol/inspect.ts";

export interface ActorRow {
  readonly actor: InspectActorView;
  readonly depth: number;
}

/** Actors whose parent is not known stand at the top; each stands once, whatever they say of each other. */
export function actorRows(actors: readonly InspectActorView[]): readonly ActorRow[] {
  const ids = new Set(actors.map(({ id }) => id));
  const children = new Map<string | undefined, InspectActorView[]>();
  for (const actor of actors) {
    const parent = actor.parent !== undefined && ids.has(actor.parent) ? actor.parent : undefined;
    children.set(parent, [...(children.get(parent) ?? []), actor]);
  }
  const rows: ActorRow[] = [];
  const seen = new Set<string>();
  const add = (actor: InspectActorView, depth: number): void => {
    if (seen.has(actor.id)) return;
    seen.add(actor.id);
    rows.push({ actor, depth });
    for (const child of children.get(actor.id) ?? []) add(child, depth + 1);
  };
  for (const actor of children.get(undefined) ?? []) add(actor, 0);
  // Whatever is its own ancestor is below nobody.
  for (const actor of actors) add(actor, 0);
  return rows;
}

/** `0.shop.busy`, as XState names what is invoked without an id, says less than where it is invoked. */
export function actorName({ id, name }: Pick<InspectActorView, "id" | "name">): string {
  const invoked = /^(?:xstate\.invoke\.)?\d+\.(.+)$/.exec(name)?.[1];
  if (invoked !== undefined) return `invoked in ${invoked.split(".").slice(1).join(" › ") || invoked}`;
  return name === "" ? id : name;
}

/** By id; of several with one name, those after the first are numbered. */
export function actorNames(actors: readonly InspectActorView[]): ReadonlyMap<string, string> {
  const counts = new Map<string, number>();
  return new Map(
    actors.map((actor) => {
      const name = actorName(actor);
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      return [actor.id, count === 1 ? name : `${name} ${count}`];
    }),
  );
}

/** A state value for people: `running › attempt`, regions with commas between. */
export function valueText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return "";
  return Object.entries(value)
    .map(([name, inner]) => {
      const text = valueText(inner);
      return text === "" ? name : `${name} › ${text}`;
    })
    .join(", ");
}
