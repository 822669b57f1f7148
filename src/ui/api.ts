/**
 * Calls the operations of Sluice over HTTP, typed like those of its NATS service. Writes carry the token of the server's
 * start, which is in the page; after a restart the page fetches the new one by itself and tries once more.
 */
import type { AboutView } from "../protocol/live.ts";
import type { Operation, Operations } from "../protocol/view.ts";

export interface ApiIssue {
  readonly path?: string | readonly (string | number)[];
  readonly message: string;
}

/** What the server answered, or `status` 0 where it could not be reached. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;
  readonly reason: string | undefined;
  readonly issues: readonly ApiIssue[] | undefined;

  constructor(
    message: string,
    options: { status: number; code: string; reason?: string; issues?: readonly ApiIssue[]; cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.status = options.status;
    this.code = options.code;
    this.reason = options.reason;
    this.issues = options.issues;
  }
}

let token = document.querySelector<HTMLMetaElement>('meta[name="sluice-token"]')?.content ?? "";

/** Runs an operation. Throws ApiError; an aborted call throws what `fetch` throws (`isAbort`). */
export async function call<K extends Operation>(
  operation: K,
  request: Operations[K]["request"],
  signal?: AbortSignal,
): Promise<Operations[K]["reply"]> {
  return await postJson(`/api/${operation}`, request, signal);
}

/** To what is no operation. Throws as `call` does. */
export async function postJson<T>(path: string, request: unknown, signal?: AbortSignal): Promise<T> {
  const used = token;
  try {
    return await send<T>(path, post(request, used, signal));
  } catch (error) {
    // Refused for its token: the server was started anew, and its page has another one.
    if (!(error instanceof ApiError) || error.code !== "TOKEN_NEEDED") throw error;
    if (used === token) await refreshToken();
    if (used === token) throw error;
    return await send<T>(path, post(request, token, signal));
  }
}

export async function about(signal?: AbortSignal): Promise<AboutView> {
  return await send<AboutView>("/api/about", signal === undefined ? {} : { signal });
}

/** Takes the token out of a fresh copy of the page. Keeps the old one where that fails. */
export async function refreshToken(): Promise<void> {
  try {
    const response = await fetch("/", { headers: { accept: "text/html" }, cache: "no-store" });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector<HTMLMetaElement>('meta[name="sluice-token"]')?.content;
    if (fresh !== undefined && fresh !== "") token = fresh;
  } catch {
    // Not there yet; the next call that is refused asks again.
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** For people: what went wrong, in one sentence. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function post(request: unknown, token: string, signal: AbortSignal | undefined): RequestInit {
  return {
    method: "POST",
    headers: { "content-type": "application/json", "sluice-token": token },
    body: JSON.stringify(request),
    ...(signal !== undefined && { signal }),
  };
}

async function send<T>(url: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("the server cannot be reached", { status: 0, code: "UNREACHABLE", cause: error });
  }
  const text = await response.text();
  const body = parse(text) as { error?: { code?: string; message?: string; reason?: string; issues?: ApiIssue[] } } | undefined;
  if (response.ok && body !== undefined) return body as T;
  const error = body?.error;
  throw new ApiError(error?.message ?? `the server answered ${response.status} ${response.statusText}`.trim(), {
    status: response.status,
    code: error?.code ?? "HTTP",
    ...(error?.reason !== undefined && { reason: error.reason }),
    ...(error?.issues !== undefined && { issues: error.issues }),
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
