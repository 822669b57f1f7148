/** Names that are short enough to read; the whole one is in the title beside them. Pure. */

/** Ids of workers are their name and something unique; the name is what people gave. */
export function workerName(id: string): string {
  return id.replace(/[-.][0-9a-z]{20,}$/i, "");
}

/** Of who sends or gets a message: `worker-1`, `acme`, `timer`. */
export function participantName(participant: string): string {
  if (participant.startsWith("worker:")) return workerName(participant.slice("worker:".length));
  if (!participant.startsWith("group:")) return participant;
  const slash = participant.indexOf("/");
  return slash < 0 ? participant : participant.slice(slash + 1);
}
