/**
 * Lists are read from the history, which takes a change in a moment after it was told: what is asked for at once may not have it
 * yet. So they are asked for once more when it has become quiet, and when a history that was behind has caught up.
 */
import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useLive } from "../live.ts";
import { health } from "../shell/health.ts";

const QUIET_MS = [1_500, 5_000];
const BEHIND_MS = 500;

export function useAfterChanges(look: () => void): void {
  const latest = useRef(look);
  latest.current = look;
  const timers = useRef<ReturnType<typeof setTimeout>[]>([]);
  const stop = () => timers.current.splice(0).forEach(clearTimeout);
  useLive("runs", (...[event]) => {
    // What changed after a list was asked for and before its stream was there has been told to nobody.
    if (event !== "runs" && event !== "hello") return;
    stop();
    timers.current = QUIET_MS.map((ms) => setTimeout(() => latest.current(), ms));
  });
  useEffect(() => {
    let behind = false;
    const end = effect(() => {
      const late = (health.value?.historyBehindMs ?? 0) > BEHIND_MS;
      if (behind && !late) setTimeout(() => latest.current());
      behind = late;
    });
    return () => {
      end();
      stop();
    };
  }, []);
}
