/**
 * Fetches the pinned release of nats-server from the NATS project's GitHub releases and verifies its checksum. It gives up
 * quickly where there is no internet, and says why.
 */
import { createHash } from "node:crypto";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileFromTarGz } from "./archive.ts";
import { runProgram } from "./program.ts";

/** What to fetch, and from where. */
export interface NatsServerRelease {
  readonly version: string;
  /** `<baseUrl>/v<version>/<archive>`; a mirror has the same layout. */
  readonly baseUrl: string;
  /** SHA-256 by `<os>-<arch>`. A platform that is missing here is verified against the release's own SHA256SUMS. */
  readonly checksums: Readonly<Record<string, string>>;
}

/** Checksums as the NATS project pins them in its own container images (nats-io/nats-docker, 2.14.x). */
export const PINNED_RELEASE: NatsServerRelease = {
  version: "2.14.5",
  baseUrl: "https://github.com/nats-io/nats-server/releases/download",
  checksums: {
    "linux-386": "7eb520d5080d2c4b2e9ad0866aa301f7c7af35058bfae61c1ba0cef472d21d47",
    "linux-amd64": "5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355",
    "linux-arm64": "673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c",
    "linux-arm6": "e0c6a5ce708c7a57cae5008805397046f6502c627cdc00bfff33af0929d07d50",
    "linux-arm7": "c8796b63a8603fdebabd63146ac3d3997c29a2829fdd2af6db320f4a287f2e71",
    "linux-loong64": "e0c584e45453c5a5ed387f14a96eaa8cb84cb110f0ff9031699087b23e3b2c2d",
    "linux-ppc64le": "5d8f1a264a3bc4b30899814ae8e898b1268e817074635adddd24b32f388e4cc4",
    "linux-s390x": "829193e8c592e0df5f15402c27417df18d26503d22b77dfc9491982fe0b51a67",
    "windows-amd64": "f66f840a211ab665083b88e9b7edbcf6296cda143be47e53e6f6bb8520692bbb",
  },
};

export interface FetchLimits {
  /** Until the headers of the answer are here, redirects included. */
  readonly connectTimeoutMs: number;
  /** The longest pause within the download. */
  readonly stallTimeoutMs: number;
}

const LIMITS: FetchLimits = { connectTimeoutMs: 5000, stallTimeoutMs: 10_000 };

/** The name that releases give to this platform, like `linux-amd64`; undefined where there is none. */
export function releasePlatform(platform: NodeJS.Platform = process.platform, arch: string = process.arch): string | undefined {
  const os = ({ darwin: "darwin", freebsd: "freebsd", linux: "linux", win32: "windows" } as Record<string, string>)[platform];
  const cpus: Record<string, string> = {
    x64: "amd64",
    arm64: "arm64",
    arm: "arm7",
    ia32: "386",
    ppc64: "ppc64le",
    s390x: "s390x",
    loong64: "loong64",
  };
  const cpu = cpus[arch];
  return os === undefined || cpu === undefined ? undefined : `${os}-${cpu}`;
}

/** Puts the release's nats-server into the folder and returns its path. Rejects with a one-line reason. */
export async function fetchRelease(
  folder: string,
  options: {
    readonly release?: NatsServerRelease;
    readonly limits?: FetchLimits;
    readonly platform?: string | undefined;
    readonly log: (line: string) => void;
  },
): Promise<string> {
  const { release = PINNED_RELEASE, limits = LIMITS, platform = releasePlatform(), log } = options;
  if (platform === undefined) throw new Error(`there is no release for ${process.platform}-${process.arch}`);
  const windows = platform.startsWith("windows");
  const archive = `nats-server-v${release.version}-${platform}${windows ? ".zip" : ".tar.gz"}`;
  const base = `${release.baseUrl.replace(/\/$/, "")}/v${release.version}`;

  log(`downloading ${base}/${archive}`);
  const expected =
    release.checksums[platform] ?? checksumIn((await download(`${base}/SHA256SUMS`, limits)).toString("utf8"), archive);
  if (expected === undefined) throw new Error(`the release's SHA256SUMS does not list ${archive}`);
  const content = await download(`${base}/${archive}`, limits);
  const actual = createHash("sha256").update(content).digest("hex");
  if (actual !== expected)
    throw new Error(`the checksum of ${archive} is wrong: expected ${expected}, got ${actual}; it was thrown away`);
  log(`its checksum is right (sha256 ${actual.slice(0, 12)}…, ${(content.length / 1e6).toFixed(1)} MB)`);

  await mkdir(folder, { recursive: true });
  if (windows) return await unpackZip(folder, archive, content);
  const program = fileFromTarGz(content, (path) => /(^|\/)nats-server$/.test(path));
  if (program === undefined) throw new Error(`${archive} has no nats-server in it`);
  const path = join(folder, "nats-server");
  await writeFile(path, program);
  await chmod(path, 0o755);
  return path;
}

function checksumIn(sums: string, archive: string): string | undefined {
  for (const line of sums.split("\n")) {
    const [sum, name] = line.trim().split(/\s+\*?/);
    if (name === archive && sum !== undefined && /^[0-9a-f]{64}$/.test(sum)) return sum;
  }
  return undefined;
}

/** Windows has a `tar` that reads zip files. */
async function unpackZip(folder: string, archive: string, content: Buffer): Promise<string> {
  await writeFile(join(folder, archive), content);
  const { failure } = await runProgram("tar", ["-xf", archive, "--strip-components=1"], { cwd: folder, timeoutMs: 60_000 });
  if (failure !== undefined) throw new Error(`${archive} could not be unpacked: ${failure}`);
  return join(folder, "nats-server.exe");
}

async function download(url: string, limits: FetchLimits): Promise<Buffer> {
  const abort = new AbortController();
  let timer = setTimeout(
    () => abort.abort(new Error(`no answer from ${new URL(url).host} within ${limits.connectTimeoutMs / 1000} s`)),
    limits.connectTimeoutMs,
  );
  try {
    const response = await fetch(url, { signal: abort.signal, redirect: "follow" });
    if (!response.ok || response.body === null)
      throw new Error(`${url} answered ${response.status} ${response.statusText}`.trim());
    const chunks: Uint8Array[] = [];
    const stalled = new Error(`the download of ${url} stood still for ${limits.stallTimeoutMs / 1000} s`);
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(stalled), limits.stallTimeoutMs);
    for await (const chunk of response.body) {
      timer.refresh();
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    throw abort.signal.aborted ? abort.signal.reason : new Error(reasonOf(error, url), { cause: error });
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** fetch says only "fetch failed"; what failed is in its cause. */
function reasonOf(error: unknown, url: string): string {
  const { message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  return cause === undefined ? message : `${new URL(url).host} cannot be reached (${cause.code ?? cause.message})`;
}
