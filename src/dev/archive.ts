/** Takes one file out of an archive. Only what releases and packages of nats-server need; it trusts an archive that was verified. */
import { gunzipSync } from "node:zlib";

const BLOCK = 512;

/**
 * The content of the first regular file in a `.tar.gz` whose path the predicate accepts. Members of concatenated gzip streams
 * are read as one archive, so an Alpine package works too.
 */
export function fileFromTarGz(archive: Buffer, accept: (path: string) => boolean): Buffer | undefined {
  const tar = gunzipSync(archive);
  let longName: string | undefined;
  for (let offset = 0; offset + BLOCK <= tar.length;) {
    const header = tar.subarray(offset, offset + BLOCK);
    offset += BLOCK;
    if (header[0] === 0) continue; // the end of an archive is marked by empty blocks
    const size = Number.parseInt(text(header, 124, 12).trim() || "0", 8);
    const type = String.fromCharCode(header[156] ?? 0);
    const content = tar.subarray(offset, offset + size);
    if (!Number.isFinite(size) || content.length < size) throw new Error("the archive is damaged");
    offset += Math.ceil(size / BLOCK) * BLOCK;
    if (type === "L") {
      longName = text(content, 0, size); // GNU: the name of the next entry
      continue;
    }
    const prefix = text(header, 257, 5) === "ustar" ? text(header, 345, 155) : "";
    const path = longName ?? (prefix === "" ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`);
    longName = undefined;
    if ((type === "0" || type === "\0") && accept(path)) return content;
  }
  return undefined;
}

/** A field that ends at its first zero byte. */
function text(block: Buffer, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.subarray(0, end === -1 ? length : end).toString("utf8");
}
