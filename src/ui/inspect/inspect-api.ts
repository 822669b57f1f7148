/** What the server knows of foreign programs (`/api/inspect/...`), and how to have it forget those that have ended. */
import type {
  InspectActorsReply,
  InspectFramesReply,
  InspectMachineReply,
  InspectProgramsReply,
} from "../../protocol/inspect.ts";
import { ApiError, isAbort, postJson } from "../api.ts";

export const inspectApi = {
  programs: (signal?: AbortSignal) => get<InspectProgramsReply>("programs", {}, signal),
  actors: (program: string, signal?: AbortSignal) => get<InspectActorsReply>("actors", { program }, signal),
  machine: (program: string, hash: string, signal?: AbortSignal) =>
    get<InspectMachineReply>("machine", { program, hash }, signal),
  frames: (
    query: { readonly program: string; readonly after?: number; readonly before?: number; readonly size?: number },
    signal?: AbortSignal,
  ) => get<InspectFramesReply>("frames", query, signal),
  /** With all that was recorded of it. One that is connected is left as it is. */
  forget: (program: string) => postJson<{ readonly forgotten: number }>("/api/inspect/forget", { program }),
};

async function get<T>(name: string, query: Readonly<Record<string, string | number>>, signal?: AbortSignal): Promise<T> {
  const parameters = new URLSearchParams(Object.entries(query).map(([key, value]): [string, string] => [key, String(value)]));
  let response: Response;
  try {
    response = await fetch(`/api/inspect/${name}?${parameters.toString()}`, signal === undefined ? {} : { signal });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("the server cannot be reached", { status: 0, code: "UNREACHABLE", cause: error });
  }
  const body = (await response.json().catch(() => undefined)) as
    | (T & { readonly error?: undefined })
    | { readonly error?: { readonly code?: string; readonly message?: string } }
    | undefined;
  if (response.ok && body !== undefined) return body as T;
  throw new ApiError(body?.error?.message ?? `the server answered ${response.status}`, {
    status: response.status,
    code: body?.error?.code ?? "HTTP",
  });
}
