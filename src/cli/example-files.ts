/** The example workflows that come with the package: compiled ones where the command is compiled, sources where it is not. */
import { readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../examples", import.meta.url));

export async function findExampleFiles(): Promise<readonly string[]> {
  const extension = extname(import.meta.url);
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(extension) && !name.endsWith(`.d${extension}`));
  return names.sort().map((name) => join(FOLDER, name));
}
