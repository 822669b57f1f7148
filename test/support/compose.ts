/**
 * A compose file's services as plain processes on this machine, for where Docker cannot run: the same commands, environment and files, with
 * addresses and paths of the containers replaced by ones of this machine.
 */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parse } from "yaml";
import { freePorts } from "./nats-cluster.ts";
import { PROJECT_FOLDER } from "./process.ts";

export interface ComposeService {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly restart?: string;
  readonly stop_grace_period?: string;
}

export interface ComposeFile {
  readonly name: string;
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

export interface LocalService {
  readonly name: string;
  readonly service: ComposeService;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What listens on a port of the container, on this machine. */
  readonly port: (inside: number) => number;
}

const DOCKER_FOLDER = join(PROJECT_FOLDER, "docker");
/** Every port that something in the containers listens on. */
const PORTS = [4222, 6222, 7788, 8222];

/** `${NAME:-default}` and `${NAME:?message}` are replaced as Docker Compose does. */
export function readCompose(file: string, env: Readonly<Record<string, string>>): ComposeFile {
  const text = readFileSync(join(DOCKER_FOLDER, file), "utf8").replaceAll(
    /\$\{(\w+)(?::([-?])([^}]*))?\}/g,
    (_, name: string, kind: string | undefined, rest: string | undefined) => {
      const value = env[name];
      if (value !== undefined) return value;
      if (kind === "-") return rest ?? "";
      throw new Error(`${file}: ${name}: ${rest ?? "is not set"}`);
    },
  );
  return parse(text, { merge: true }) as ComposeFile;
}

/** `certs`: where `docker/setup.sh` has made them. `root`: for the files of the containers. */
export async function localServices(
  compose: ComposeFile,
  { setup, root }: { readonly setup: string; readonly root: string },
): Promise<LocalService[]> {
  const names = Object.keys(compose.services);
  const free = await freePorts(names.length * PORTS.length);
  const ports = new Map(names.map((name, index) => [name, free.slice(index * PORTS.length, (index + 1) * PORTS.length)]));
  const portOf = (name: string, inside: number): number => {
    const port = ports.get(name)?.[PORTS.indexOf(inside)];
    if (port === undefined) throw new Error(`no service ${name} listens on ${inside}`);
    return port;
  };
  return Object.entries(compose.services).map(([name, service]) => {
    const folder = join(root, name);
    const paths = new Map([["/app/examples", join(PROJECT_FOLDER, "examples")]]);
    for (const volume of service.volumes ?? []) {
      const [source = "", target = ""] = volume.split(":");
      const place = join(folder, target);
      paths.set(target, place);
      mkdirSync(dirname(place), { recursive: true });
      if (!source.startsWith(".")) mkdirSync(place);
      else copyFileSync(source.startsWith("./certs/") ? join(setup, source) : resolve(DOCKER_FOLDER, source), place);
    }
    const local = (text: string): string => {
      let result = text;
      for (const [target, place] of paths)
        if (result === target || result.startsWith(`${target}/`)) result = result.replace(target, place);
      for (const other of names)
        for (const inside of PORTS)
          result = result.replaceAll(new RegExp(`//${other}:${inside}\\b`, "g"), `//localhost:${portOf(other, inside)}`);
      return result
        .replace(/^(0\.0\.0\.0|127\.0\.0\.1):(\d+)$/, (_, __, inside: string) => `127.0.0.1:${portOf(name, Number(inside))}`)
        .replace(/^7788$/, () => String(portOf(name, 7788)));
    };
    return {
      name,
      service,
      command: service.command.map(local),
      env: Object.fromEntries(Object.entries(service.environment ?? {}).map(([key, value]) => [key, local(value)])),
      port: (inside) => portOf(name, inside),
    };
  });
}
