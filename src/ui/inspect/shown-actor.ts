/** Which actor is shown: the one of the address, else the first that has a chart. */
import type { InspectActorView } from "../../protocol/inspect.ts";

export function shownActor(actors: readonly InspectActorView[], asked: string | null): InspectActorView | undefined {
  return actors.find(({ id }) => id === asked) ?? actors.find(({ machine }) => machine !== undefined) ?? actors[0];
}
