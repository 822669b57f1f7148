#!/usr/bin/env node
/** The `sluice` command: streams, environment, exit code. All else is in `program.ts`, which is loaded only when it is needed. */
import { version } from "../version.ts";

const args = process.argv.slice(2);
if (args.length === 1 && (args[0] === "--version" || args[0] === "-V")) process.stdout.write(`${version}\n`);
else process.exitCode = await main();

async function main(): Promise<number> {
  // Whoever reads our output may have read enough (`sluice runs list | head`).
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  const [{ runProgram }, { readEnvironment }, { errorText, EXIT_USAGE }] = await Promise.all([
    import("./program.ts"),
    import("./environment.ts"),
    import("./cli-error.ts"),
  ]);
  // A command that waits for something is not over, even where Node.js sees nothing open that could still happen.
  const waiting = setInterval(() => undefined, 60_000);
  try {
    const { stdin, stdout, stderr } = process;
    return await runProgram(args, { terminal: { stdin, stdout, stderr }, env: readEnvironment(), folder: process.cwd() });
  } catch (error) {
    process.stderr.write(`error: ${errorText(error)}\n`);
    return EXIT_USAGE;
  } finally {
    clearInterval(waiting);
  }
}
