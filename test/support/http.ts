/** HTTP as it is: any Host, any Origin, any path, which `fetch` would not send. And the reading of server-sent events. */
import { request, type IncomingMessage } from "node:http";
import { onCleanup } from "./cleanup.ts";
import { waitFor } from "./wait.ts";

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  /** Of the body; throws where it is no JSON. */
  json(): any;
}

/** `path` is sent as it is. */
export function ask(base: string, path: string, { method = "GET", headers = {}, body }: Asked = {}): Promise<Answered> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const sent = request({ host: hostname.replace(/^\[|\]$/g, ""), port, path, method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(parts).toString();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: () => JSON.parse(text),
        });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

export interface ReceivedEvent {
  readonly id: string;
  readonly event: string;
  readonly data: any;
}

/** A reader of `/api/stream`. Closed at the end of the test. */
export class EventReader {
  readonly events: ReceivedEvent[] = [];
  headers: IncomingMessage["headers"] = {};
  status = 0;
  ended = false;
  #text = "";
  readonly #request: ReturnType<typeof request>;
  #response: IncomingMessage | undefined;

  constructor(base: string, path: string, headers: Readonly<Record<string, string>> = {}) {
    const { hostname, port } = new URL(base);
    this.#request = request({ host: hostname, port, path, headers, agent: false }, (response) => {
      this.#response = response;
      this.status = response.statusCode ?? 0;
      this.headers = response.headers;
      response.setEncoding("utf8");
      response.on("data", (text: string) => this.#take(text));
      response.on("error", () => undefined);
      response.on("close", () => (this.ended = true));
    });
    this.#request.on("error", () => (this.ended = true));
    this.#request.end();
    onCleanup(() => this.close());
  }

  get lastId(): string {
    return this.events.at(-1)?.id ?? "";
  }

  of(event: string): any[] {
    return this.events.filter((one) => one.event === event).map(({ data }) => data);
  }

  /** Waits until one of this event satisfies `test`; gives its data. */
  async next(event: string, test: (data: any) => unknown = () => true, timeoutMs = 10_000): Promise<any> {
    return await waitFor(() => this.of(event).find((data) => test(data)), { timeoutMs, what: `an event "${event}"` });
  }

  /** Reads no more, and leaves the connection open. */
  pause(): void {
    this.#response?.pause();
  }

  resume(): void {
    this.#response?.resume();
  }

  close(): void {
    this.#request.destroy();
  }

  #take(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf("\n\n"); end >= 0; end = this.#text.indexOf("\n\n")) {
      const lines = this.#text.slice(0, end).split("\n");
      this.#text = this.#text.slice(end + 2);
      const field = (name: string): string | undefined =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field("data");
      if (data !== undefined) this.events.push({ id: field("id") ?? "", event: field("event") ?? "", data: JSON.parse(data) });
    }
  }
}
