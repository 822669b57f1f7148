/** `/api/inspect/...`: foreign programs as JSON, for the page. Mounted behind the dashboard's checks; knows none of its own. */
import { Hono, type Context } from "hono";
import { z } from "zod";
import type { InspectActorsReply, InspectFramesReply, InspectProgramsReply } from "../../protocol/inspect.ts";
import type { Program } from "./program.ts";
import type { Programs } from "./programs.ts";

const position = z.coerce.number().int().min(0).optional();
const id = z.string().min(1).max(512);
const queries = {
  actors: z.object({ program: id }),
  machine: z.object({ program: id, hash: id }),
  frames: z.object({
    program: id,
    actor: id.optional(),
    after: position,
    before: position,
    size: z.coerce.number().int().min(1).max(5_000).default(1_000),
  }),
};

/** Paths relative to `/api/inspect`. `forget` changes something, so it comes by POST, which needs the token. */
export function inspectRoutes(programs: Programs): Hono {
  const routes = new Hono();
  const found = (context: Context, program: string, answer: (program: Program) => Response): Response => {
    const one = programs.get(program);
    return one === undefined
      ? refuse(context, 404, "PROGRAM_NOT_FOUND", `there is no program "${program}" any more`)
      : answer(one);
  };

  routes.get("/programs", (context) =>
    context.json({ items: programs.list().map((program) => program.view()) } satisfies InspectProgramsReply),
  );
  routes.get("/actors", (context) =>
    withQuery(context, queries.actors, (query) =>
      found(context, query.program, (program) =>
        context.json({
          program: program.view(),
          items: program.actors().map((actor) => actor.view()),
        } satisfies InspectActorsReply),
      ),
    ),
  );
  routes.get("/frames", (context) =>
    withQuery(context, queries.frames, ({ program, ...query }) =>
      found(context, program, (one) => context.json(one.frames(query) satisfies InspectFramesReply)),
    ),
  );
  routes.get("/machine", (context) =>
    withQuery(context, queries.machine, (query) =>
      found(context, query.program, (program) => {
        const machine = program.machine(query.hash);
        return machine === undefined
          ? refuse(context, 404, "MACHINE_NOT_FOUND", `that program has no machine ${query.hash}`)
          : context.json(machine);
      }),
    ),
  );
  routes.post("/forget", async (context) => {
    const parsed = z.strictObject({ program: id.optional() }).safeParse(await context.req.json().catch(() => undefined));
    if (!parsed.success) return refuse(context, 400, "REQUEST_INVALID", "expected { program? }");
    return context.json({ forgotten: programs.forget(parsed.data.program) });
  });
  return routes;
}

function withQuery<T>(context: Context, schema: z.ZodType<T>, answer: (query: T) => Response): Response {
  const parsed = schema.safeParse(context.req.query());
  if (parsed.success) return answer(parsed.data);
  const [issue] = parsed.error.issues;
  return refuse(context, 400, "REQUEST_INVALID", `'${issue?.path.join(".") ?? ""}': ${issue?.message ?? "not usable"}`);
}

function refuse(context: Context, status: 400 | 404, code: string, message: string): Response {
  return context.json({ error: { code, message, status } }, status);
}
