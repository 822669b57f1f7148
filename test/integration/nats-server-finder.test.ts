/** Finding a nats-server: the order of the ways, and what each says when it leads nowhere. Releases come from a server here. */
import { createHash } from "node:crypto";
import { access, chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findNatsServer, findNatsServerBinary, type FindNatsServerOptions } from "../../src/dev/nats-server-finder.ts";
import { type NatsServerRelease, PINNED_RELEASE, releasePlatform } from "../../src/dev/nats-server-release.ts";
import { startNatsServer } from "../../src/dev/nats-server.ts";
import { onCleanup } from "../support/cleanup.ts";
import { natsServerBinary } from "../support/nats.ts";
import { startProcess } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const VERSION = "2.99.1";
const ARCHIVE = `nats-server-v${VERSION}-${releasePlatform()}.tar.gz`;

/** A machine with nothing on it: an empty cache, an empty PATH, no release to reach. */
async function emptyMachine() {
  const folder = await temporaryFolder("finder");
  const bin = join(folder, "bin");
  const cache = join(folder, "cache");
  await mkdir(bin);
  const lines: string[] = [];
  const options = {
    env: { PATH: bin, SLUICE_CACHE_DIR: cache, HOME: folder },
    systemFolders: [],
    release: { version: VERSION, baseUrl: "http://127.0.0.1:1", checksums: {} } as NatsServerRelease,
    limits: { connectTimeoutMs: 300, stallTimeoutMs: 300 },
    log: (line: string) => void lines.push(line),
  } satisfies FindNatsServerOptions;
  return { folder, bin, cache: join(cache, "nats-server"), lines, options };
}

async function program(path: string, ...lines: string[]): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${lines.join("\n")}\n`);
  await chmod(path, 0o755);
}

const server = (version: string) => `echo nats-server: v${version}`;

/** The archive as the NATS project makes it. */
async function archiveOf(source: string): Promise<Buffer> {
  const folder = await temporaryFolder("archive");
  const inner = ARCHIVE.replace(/\.tar\.gz$/, "");
  await program(join(folder, inner, "nats-server"), server(VERSION));
  if (source !== "") await writeFile(join(folder, inner, "nats-server"), await readFile(source));
  await writeFile(join(folder, inner, "README.md"), "# about nats-server\n".repeat(100));
  const { code } = await startProcess("tar", ["-czf", ARCHIVE, inner], { cwd: folder }).exited;
  expect(code).toBe(0);
  return await readFile(join(folder, ARCHIVE));
}

const sha256 = (content: Buffer) => createHash("sha256").update(content).digest("hex");

/** A server for releases, and what was asked of it. */
async function releaseServer(answer: (path: string, request: IncomingMessage, response: ServerResponse) => void) {
  const asked: string[] = [];
  const http = createServer((request, response) => {
    asked.push(request.url ?? "");
    answer(request.url ?? "", request, response);
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  onCleanup(() => {
    http.closeAllConnections();
    http.close();
  });
  return { baseUrl: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, asked };
}

/** Serves the archive and its checksum as GitHub does: by a redirect to another address. */
async function goodRelease(content: Buffer, sums = `${sha256(content)}  ${ARCHIVE}\n`) {
  return await releaseServer((path, _request, response) => {
    if (path === `/v${VERSION}/SHA256SUMS`) response.end(`${"0".repeat(64)}  other.zip\n${sums}`);
    else if (path === `/v${VERSION}/${ARCHIVE}`) response.writeHead(302, { location: "/elsewhere" }).end();
    else if (path === "/elsewhere") response.end(content);
    else response.writeHead(404).end();
  });
}

async function failure(options: FindNatsServerOptions): Promise<Error & { code?: string }> {
  return await findNatsServerBinary(options).then(
    ({ path }) => {
      throw new Error(`found ${path}`);
    },
    (error: Error) => error,
  );
}

describe("the order in which a nats-server is looked for", () => {
  test("first the one that SLUICE_NATS_URL names, unless a server of one's own is needed", async () => {
    const { options, bin } = await emptyMachine();
    await program(join(bin, "nats-server"), server("2.10.0"));
    const env = { ...options.env, SLUICE_NATS_URL: "nats://elsewhere:4222" };
    expect(await findNatsServer({ ...options, env })).toEqual({ kind: "url", url: "nats://elsewhere:4222" });
    expect(await findNatsServerBinary({ ...options, env })).toMatchObject({ kind: "binary", source: "path" });
    expect(await findNatsServer({ ...options, env: { ...env, SLUICE_NATS_URL: "" } })).toMatchObject({ kind: "binary" });
  });

  test("then the PATH, before the cache", async () => {
    const { options, bin, cache } = await emptyMachine();
    await program(join(bin, "nats-server"), server("2.9.10"));
    await program(join(cache, "2.12.0", "nats-server"), server("2.12.0"));
    expect(await findNatsServerBinary(options)).toEqual({
      kind: "binary",
      path: join(bin, "nats-server"),
      version: "2.9.10",
      source: "path",
    });
  });

  test("and folders of the system that a user's PATH may lack", async () => {
    const { options, folder } = await emptyMachine();
    await program(join(folder, "usr", "sbin", "nats-server"), server("2.9.10"));
    expect(await findNatsServerBinary({ ...options, systemFolders: [join(folder, "usr", "sbin")] })).toMatchObject({
      source: "path",
      version: "2.9.10",
    });
  });

  test("then the newest of the cache that works", async () => {
    const { options, bin, cache } = await emptyMachine();
    await program(join(bin, "nats-server"), server("2.8.4")); // too old
    await program(join(cache, "2.9.10", "nats-server"), server("2.9.10"));
    await program(join(cache, "2.12.15", "nats-server"), server("2.12.15"));
    await program(join(cache, "2.13.0", "nats-server"), "exit 1"); // broken
    await program(join(cache, ".fetching-1", "nats-server"), server("2.99.0")); // half fetched
    expect(await findNatsServerBinary(options)).toMatchObject({ source: "cache", version: "2.12.15" });
  });

  test("then the pinned release, which is in the cache the next time", async () => {
    const { options, cache } = await emptyMachine();
    const { baseUrl, asked } = await goodRelease(await archiveOf(""));
    const release = { ...options.release, baseUrl };
    const found = await findNatsServerBinary({ ...options, release });
    expect(found).toEqual({ kind: "binary", path: join(cache, VERSION, "nats-server"), version: VERSION, source: "release" });
    expect(asked).toEqual([`/v${VERSION}/SHA256SUMS`, `/v${VERSION}/${ARCHIVE}`, "/elsewhere"]);
    expect(await findNatsServerBinary({ ...options, release })).toEqual({ ...found, source: "cache" });
    expect(asked).toHaveLength(3);
    expect(await readdir(cache)).toEqual([VERSION]);
  });

  test("then the system's package, when the release cannot be had", async () => {
    const { options, bin, cache, lines } = await emptyMachine();
    await program(join(bin, "apt-get"), `[ "$1" = download ] && echo content > nats-server_2.9.10_amd64.deb`);
    await program(
      join(bin, "dpkg"),
      "mkdir -p unpacked/usr/sbin",
      `printf '#!/bin/sh\\necho nats-server: v2.9.10\\n' > unpacked/usr/sbin/nats-server`,
      "chmod +x unpacked/usr/sbin/nats-server",
    );
    expect(await findNatsServerBinary(options)).toEqual({
      kind: "binary",
      path: join(cache, "2.9.10", "nats-server"),
      version: "2.9.10",
      source: "package",
    });
    expect(lines).toEqual([
      `downloading http://127.0.0.1:1/v${VERSION}/${ARCHIVE}`,
      expect.stringMatching(/^release 2\.99\.1 from http:\/\/127\.0\.0\.1:1: .*cannot be reached/),
      "apt-get download nats-server",
      "nats-server of Debian's stable release: this system has no mirror of Debian",
      `nats-server 2.9.10 (${join(cache, "2.9.10", "nats-server")})`,
    ]);
    expect(await readdir(cache)).toEqual(["2.9.10"]);
  });

  test("and at last says what was tried, each with its reason, and what to type", async () => {
    const { options, bin, cache } = await emptyMachine();
    await program(join(bin, "nats-server"), server("2.8.4"));
    const error = await failure(options);
    expect(error.code).toBe("NATS_SERVER_NOT_FOUND");
    expect(error.message.split("\n")).toEqual([
      "no nats-server was found and none could be fetched. Tried, in this order:",
      "  1. SLUICE_NATS_URL: not set",
      `  2. nats-server on the PATH: ${join(bin, "nats-server")} is 2.8.4, older than 2.9.0`,
      `  3. the cache (${cache}): empty`,
      expect.stringMatching(/^ {2}4\. release 2\.99\.1 from http:\/\/127\.0\.0\.1:1: .*cannot be reached \(.+\)$/),
      "  5. the system's package: this system has none of apt-get, apk, brew, pacman, dnf",
      "Do one of these, then try again:",
      expect.stringContaining("apt-get install nats-server"),
      expect.stringContaining("download"),
      expect.stringContaining("SLUICE_NATS_URL=nats://"),
    ]);
  });
});

describe("fetching the release", () => {
  test("refuses an archive with another checksum than the pinned one, without asking the server for it", async () => {
    const { options, cache } = await emptyMachine();
    const content = await archiveOf("");
    const { baseUrl, asked } = await goodRelease(content);
    const checksums = { [releasePlatform()!]: "f".repeat(64) };
    const error = await failure({ ...options, release: { version: VERSION, baseUrl, checksums } });
    expect(error.message).toContain(`the checksum of ${ARCHIVE} is wrong: expected ${"f".repeat(64)}, got ${sha256(content)}`);
    expect(asked).not.toContain(`/v${VERSION}/SHA256SUMS`);
    expect(await readdir(cache)).toEqual([]);
  });

  test("refuses one with another checksum than the release's list, or that is not on it", async () => {
    const { options } = await emptyMachine();
    const content = await archiveOf("");
    const wrong = await goodRelease(content, `${"a".repeat(64)}  ${ARCHIVE}\n`);
    expect((await failure({ ...options, release: { ...options.release, baseUrl: wrong.baseUrl } })).message).toContain(
      `expected ${"a".repeat(64)}`,
    );
    const absent = await goodRelease(content, "");
    expect((await failure({ ...options, release: { ...options.release, baseUrl: absent.baseUrl } })).message).toContain(
      `SHA256SUMS does not list ${ARCHIVE}`,
    );
  });

  test("says what the server answered", async () => {
    const { options } = await emptyMachine();
    const { baseUrl } = await releaseServer((_path, _request, response) => response.writeHead(404).end("nothing"));
    expect((await failure({ ...options, release: { ...options.release, baseUrl } })).message).toContain(
      `${baseUrl}/v${VERSION}/SHA256SUMS answered 404`,
    );
  });

  test("gives up quickly when nothing answers, and when a download stands still", async () => {
    const { options } = await emptyMachine();
    const silent = await releaseServer(() => undefined);
    const began = Date.now();
    expect((await failure({ ...options, release: { ...options.release, baseUrl: silent.baseUrl } })).message).toMatch(
      /no answer from 127\.0\.0\.1:\d+ within 0\.3 s/,
    );
    const content = await archiveOf("");
    const stalling = await releaseServer((path, _request, response) => {
      if (path.endsWith("SUMS")) response.end(`${sha256(content)}  ${ARCHIVE}\n`);
      else response.write(content.subarray(0, 100));
    });
    expect((await failure({ ...options, release: { ...options.release, baseUrl: stalling.baseUrl } })).message).toContain(
      "stood still for 0.3 s",
    );
    expect(Date.now() - began).toBeLessThan(5000);
  });

  test("leaves nothing in the cache when the connection breaks, and when the program does not run", async () => {
    const { options, cache } = await emptyMachine();
    const content = await archiveOf("");
    const breaking = await releaseServer((path, _request, response) => {
      if (path.endsWith("SUMS")) return void response.end(`${sha256(content)}  ${ARCHIVE}\n`);
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 100), () => response.destroy());
    });
    expect((await failure({ ...options, release: { ...options.release, baseUrl: breaking.baseUrl } })).message).toMatch(
      /4\. release .*: .+/,
    );
    const { baseUrl } = await goodRelease(await archiveOf("/etc/hostname"));
    expect((await failure({ ...options, release: { ...options.release, baseUrl } })).message).toContain(
      "the fetched nats-server does not say its version",
    );
    expect(await readdir(cache)).toEqual([]);
  });

  test("names a cache that cannot be written", async () => {
    const { options, folder } = await emptyMachine();
    await writeFile(join(folder, "file"), "");
    const { baseUrl } = await goodRelease(await archiveOf(""));
    const env = { ...options.env, SLUICE_CACHE_DIR: join(folder, "file") };
    expect((await failure({ ...options, env, release: { ...options.release, baseUrl } })).message).toContain(
      "cannot be written (ENOTDIR); set SLUICE_CACHE_DIR",
    );
  });

  test("works for several processes at once", async () => {
    const { options, cache } = await emptyMachine();
    const { baseUrl } = await goodRelease(await archiveOf(""));
    const found = await Promise.all(
      Array.from({ length: 5 }, async () => await findNatsServerBinary({ ...options, release: { ...options.release, baseUrl } })),
    );
    expect(new Set(found.map(({ path }) => path))).toEqual(new Set([join(cache, VERSION, "nats-server")]));
    expect(await readdir(cache)).toEqual([VERSION]);
  });

  test("brings a nats-server that runs, from a mirror that SLUICE_NATS_RELEASES_URL names", async () => {
    const { options, folder } = await emptyMachine();
    const content = await archiveOf(natsServerBinary());
    const { baseUrl } = await goodRelease(content);
    const { path } = await findNatsServerBinary({
      ...options,
      release: { version: VERSION, baseUrl, checksums: { [releasePlatform()!]: sha256(content) } },
    });
    const running = await startNatsServer({ binary: path, storeDir: join(folder, "data") });
    await running.stop();

    const { release: _, ...withoutRelease } = options;
    await expect(
      findNatsServerBinary({
        ...withoutRelease,
        env: { ...options.env, SLUICE_CACHE_DIR: join(folder, "other"), SLUICE_NATS_RELEASES_URL: baseUrl },
      }),
    ).rejects.toThrow(
      `${baseUrl}/v${PINNED_RELEASE.version}/nats-server-v${PINNED_RELEASE.version}-${releasePlatform()}.tar.gz answered 404`,
    );
  });
});

describe("the system's package", () => {
  test("is fetched with package lists of our own where the system has none", async () => {
    const { options, bin, folder } = await emptyMachine();
    const calls = join(folder, "calls");
    await program(
      join(bin, "apt-get"),
      `echo "$@" >> ${calls}`,
      `case "$*" in *update) touch ${folder}/lists;; *) [ -e ${folder}/lists ] || { echo 'E: Unable to locate package nats-server' >&2; exit 100; }; echo x > a.deb;; esac`,
    );
    await program(
      join(bin, "dpkg"),
      "mkdir -p unpacked/usr/sbin",
      `printf '#!/bin/sh\\necho nats-server: v2.9.10\\n' > unpacked/usr/sbin/nats-server`,
      "chmod +x unpacked/usr/sbin/nats-server",
    );
    expect(await findNatsServerBinary(options)).toMatchObject({ source: "package", version: "2.9.10" });
    const [first, second, third] = (await readFile(calls, "utf8")).trim().split("\n");
    expect(first).toBe("download nats-server");
    expect(second).toMatch(/^-o Dir::State::Lists=.* update$/);
    expect(third).toMatch(/^-o Dir::State::Lists=.* download nats-server$/);
  });

  test("of Debian's stable release is taken where the system's own is an old one", async () => {
    const { options, bin, folder, cache, lines } = await emptyMachine();
    const calls = join(folder, "calls");
    await program(
      join(bin, "apt-get"),
      `echo "$@" >> ${calls}`,
      `case "$*" in indextargets*) printf 'http://mirror/debian/|old-updates|main\\nhttp://mirror/debian/|old|main\\n';;`,
      "*SourceList=*download*) cp $(echo \"$*\" | sed 's/.*SourceList=\\([^ ]*\\).*/\\1/') new.deb;;",
      "download*) echo 2.9.10 > old.deb;; esac",
    );
    await program(
      join(bin, "dpkg"),
      "mkdir -p unpacked/usr/sbin",
      "version=2.9.10",
      `[ "$2" = new.deb ] && version=2.10.27 && cp new.deb ${folder}/list`,
      `printf "#!/bin/sh\\necho nats-server: v$version\\n" > unpacked/usr/sbin/nats-server`,
      "chmod +x unpacked/usr/sbin/nats-server",
    );
    expect(await findNatsServerBinary(options)).toMatchObject({ source: "package", version: "2.10.27" });
    expect(lines.slice(-3)).toEqual([
      "apt-get download nats-server",
      "apt-get download nats-server, of Debian's stable release",
      `nats-server 2.10.27 (${join(cache, "2.10.27", "nats-server")})`,
    ]);
    expect(await readFile(join(folder, "list"), "utf8")).toMatch(
      /^deb (\[signed-by=\S+\] )?http:\/\/mirror\/debian\/ stable main\n$/,
    );
    // Lists and sources of the system are left alone.
    for (const call of (await readFile(calls, "utf8")).trim().split("\n").slice(2))
      expect(call).toMatch(/^-o Dir::Etc::SourceList=\S+ -o Dir::Etc::SourceParts=- -o Dir::State::Lists=\S+ /);
  });

  test("that is missing, too old or empty is a reason", async () => {
    const { options, bin } = await emptyMachine();
    await program(join(bin, "dpkg"), "mkdir unpacked");
    await program(join(bin, "apt-get"), "echo 'E: Unable to locate package nats-server' >&2; exit 100");
    expect((await failure(options)).message).toContain(
      "5. the system's package: apt-get download: E: Unable to locate package nats-server; apt-get update: E: Unable",
    );
    await program(join(bin, "apt-get"), "echo x > a.deb");
    expect((await failure(options)).message).toContain(
      "5. the system's package: the package nats-server has no nats-server in it",
    );
  });

  test("of Homebrew is installed, with a loud word", async () => {
    const { options, bin, lines } = await emptyMachine();
    await program(
      join(bin, "brew"),
      `printf '#!/bin/sh\\necho nats-server: v2.12.1\\n' > ${bin}/nats-server; chmod +x ${bin}/nats-server`,
    );
    expect(await findNatsServerBinary(options)).toEqual({
      kind: "binary",
      path: join(bin, "nats-server"),
      version: "2.12.1",
      source: "package",
    });
    expect(lines).toContain("INSTALLING nats-server on this system: brew install --quiet nats-server");
    await access(join(bin, "nats-server"));
  });
});
