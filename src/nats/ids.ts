/** Ids of the NATS client's own kind: 22 characters, unique across processes, cheap. */
import { nuid as generator } from "@nats-io/nats-core";

export function nuid(): string {
  return generator.next();
}
