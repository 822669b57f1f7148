import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findBrowser } from "../../src/dev/browser.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

async function machine() {
  const folder = await temporaryFolder("browser");
  const program = async (name: string, script = "") => {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`);
    await chmod(join(folder, name), 0o755);
    return join(folder, name);
  };
  const lines: string[] = [];
  const options = {
    env: { PATH: join(folder, "bin") },
    systemFolders: [join(folder, "usr")],
    log: (line: string) => void lines.push(line),
  };
  return { folder, program, lines, options };
}

describe("the browser for tests", () => {
  test("is the one that CHROMIUM_PATH names, and no other", async () => {
    const { program, options } = await machine();
    await program("bin/chromium");
    const own = await program("own/browser");
    expect(await findBrowser({ ...options, env: { ...options.env, CHROMIUM_PATH: own } })).toEqual({ path: own });
    expect(await findBrowser({ ...options, env: { ...options.env, CHROMIUM_PATH: `${own}-gone` } })).toEqual({
      path: undefined,
      reasons: [`CHROMIUM_PATH: there is no program ${own}-gone`],
    });
  });

  test("else an installed one, Chromium before Chrome", async () => {
    const { program, options } = await machine();
    const chrome = await program("bin/google-chrome");
    expect(await findBrowser(options)).toEqual({ path: chrome });
    const chromium = await program("usr/chromium");
    expect(await findBrowser(options)).toEqual({ path: chromium });
  });

  test("else the system's package, which only root installs, aloud, and only when asked to", async () => {
    const { folder, program, options, lines } = await machine();
    const calls = join(folder, "calls");
    // The first try finds no package lists.
    await program(
      "bin/apt-get",
      `echo "$@" >> ${calls}; [ "$1" = update ] && exit 0; grep -q update ${calls} || exit 100; printf '#!/bin/sh\\n' > ${folder}/bin/chromium; chmod +x ${folder}/bin/chromium`,
    );
    expect(await findBrowser({ ...options, root: true })).toMatchObject({
      path: undefined,
      reasons: { 2: "the system's package: was not to be installed" },
    });
    expect(await findBrowser({ ...options, root: false, install: true })).toMatchObject({
      reasons: { 2: expect.stringContaining("needs root") },
    });
    expect(lines).toEqual([]);
    expect(await findBrowser({ ...options, root: true, install: true })).toEqual({ path: join(folder, "bin/chromium") });
    expect((await readFile(calls, "utf8")).trim().split("\n")).toHaveLength(3);
    expect(lines).toHaveLength(3);
  });

  test("else none, with the reasons", async () => {
    const { options } = await machine();
    expect(await findBrowser({ ...options, install: true, root: true })).toEqual({
      path: undefined,
      reasons: [
        "CHROMIUM_PATH: not set",
        "none of chromium, chromium-browser, google-chrome, google-chrome-stable is installed",
        "the system's package: this system has no apt-get",
      ],
    });
  });
});
