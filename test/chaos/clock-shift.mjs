/**
 * Preloaded into an engine node (`node --import`): its wall clock jumps by the milliseconds that the file named by
 * SLUICE_CHAOS_CLOCK holds. Only Date: monotonic clocks do not jump when somebody sets the time.
 */
import { readFileSync } from "node:fs";

const file = process.env["SLUICE_CHAOS_CLOCK"];
const LOOK_EVERY_MS = 50;

if (file !== undefined) {
  const RealDate = Date;
  const realNow = Date.now.bind(Date);
  let shiftMs = 0;
  const look = () => {
    try {
      shiftMs = Number(readFileSync(file, "utf8")) || 0;
    } catch {
      shiftMs = 0;
    }
  };
  look();
  setInterval(look, LOOK_EVERY_MS).unref();
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) =>
      Reflect.construct(
        target,
        args.length === 0 ? [realNow() + shiftMs] : args,
        newTarget === globalThis.Date ? target : newTarget,
      ),
    apply: () => new RealDate(realNow() + shiftMs).toString(),
    get: (target, property) => (property === "now" ? () => realNow() + shiftMs : Reflect.get(target, property)),
  });
}
