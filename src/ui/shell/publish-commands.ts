/** What to type to publish an event, as it works where this page is from: the same on every empty page. */
import { about } from "./about.ts";

/** With any NATS client. `payload` as it is on the wire. */
export function natsCommand(event: string, payload: string): string {
  const { prefix = "sluice", natsUrl } = about.value ?? {};
  return `nats${natsUrl === undefined ? "" : ` --server ${natsUrl}`} pub ${prefix}.events.${event} '${payload}'`;
}

export function sluiceCommand(event: string, payload: string): string {
  return `npx sluice publish ${event} '${payload}'`;
}
