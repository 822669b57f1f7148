/**
 * The files of the dashboard: what the build has put into its folder, and nothing outside of it. Files whose names hold a hash
 * of their content are kept by browsers for ever, all else is asked for again each time.
 */
import { readFile, realpath, stat } from "node:fs/promises";
import { extname, join, sep } from "node:path";

export type Found =
  | { readonly found: "file"; readonly response: Response }
  /** There is no such file. */
  | { readonly found: "nothing" }
  /** The path leads out of the folder, or is none. */
  | { readonly found: "refused" };

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
  ".txt": "text/plain; charset=utf-8",
  ".md": "text/plain; charset=utf-8",
};
/** As vite names what it builds: `assets/index-DzE2bqxI.js`. */
const HASHED = /^\/assets\/.+-[\w-]{8,}\.\w+$/;

export class StaticFiles {
  readonly #folder: string;
  #page: { readonly mtimeMs: number; readonly text: string } | undefined = undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** `path`: as it was asked for, still encoded. */
  async find(path: string, ifNoneMatch: string | undefined): Promise<Found> {
    const name = decodePath(path);
    if (name === undefined) return { found: "refused" };
    // The page is given by `page`, with its token.
    if (name === "/" || name === "/index.html") return { found: "nothing" };
    const file = join(this.#folder, name);
    const info = await stat(file).catch(() => undefined);
    if (info === undefined || !info.isFile()) return { found: "nothing" };
    // A link in the folder may lead out of it.
    const [root, real] = await Promise.all([realpath(this.#folder), realpath(file)]);
    if (!real.startsWith(root + sep)) return { found: "refused" };
    const etag = `"${info.size.toString(36)}-${Math.floor(info.mtimeMs).toString(36)}"`;
    const headers = {
      "content-type": TYPES[extname(name).toLowerCase()] ?? "application/octet-stream",
      "cache-control": HASHED.test(name) ? "public, max-age=31536000, immutable" : "no-cache",
      etag,
    };
    if (ifNoneMatch !== undefined && ifNoneMatch.split(/\s*,\s*/).some((one) => one.replace(/^W\//, "") === etag || one === "*"))
      return { found: "file", response: new Response(null, { status: 304, headers }) };
    // Read whole: they are small, and nothing stays open when a browser goes away in the midst.
    return { found: "file", response: new Response(new Uint8Array(await readFile(file)), { headers }) };
  }

  /** The page with the token in it; undefined where the dashboard was not built. */
  async page(token: string): Promise<string | undefined> {
    const file = join(this.#folder, "index.html");
    const info = await stat(file).catch(() => undefined);
    if (info === undefined) return undefined;
    if (this.#page?.mtimeMs !== info.mtimeMs) this.#page = { mtimeMs: info.mtimeMs, text: await readFile(file, "utf8") };
    return this.#page.text.replace(/<meta name="sluice-token" content="[^"]*"/, `<meta name="sluice-token" content="${token}"`);
  }
}

/** Decoded once; undefined for what leads upwards, or is none of ours by any reading. */
function decodePath(path: string): string | undefined {
  let name: string;
  try {
    name = decodeURIComponent(path);
  } catch {
    return undefined;
  }
  if (name.includes("\0") || name.includes("\\")) return undefined;
  return name.split("/").includes("..") ? undefined : name;
}
