/**
 * Who may ask the dashboard's server for what: decided from the headers of a request alone, the same for HTTP and WebSockets.
 *
 * The dangers are other pages in the user's browser, which reaches 127.0.0.1 too: they can send requests here (forms, `fetch`,
 * images, WebSockets), and can give their own name this address (DNS rebinding). So the `Host` must be one of ours, the
 * `Origin` must be that host, and a change needs the token that only our page was given. Beyond loopback a password comes first.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";
import { PasswordGuard } from "./password-guard.ts";

export interface AccessOptions {
  /** The address that is listened on. */
  readonly host: string;
  /** Further names under which it is reached. */
  readonly allowHosts: readonly string[];
  readonly password: string | undefined;
  readonly readOnly: boolean;
  /** Of this start. */
  readonly token: string;
}

/** Why a request is refused: as the JSON error says it. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 415 | 429;
  readonly code:
    | "HOST_REFUSED"
    | "ORIGIN_REFUSED"
    | "PASSWORD_NEEDED"
    | "TOO_MANY_TRIES"
    | "READ_ONLY"
    | "TOKEN_NEEDED"
    | "JSON_NEEDED";
  readonly message: string;
}

/** The headers of a request, by their names in lower case. */
export type HeaderOf = (name: string) => string | undefined;

export const REALM = 'Basic realm="Sluice", charset="UTF-8"';
const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

export class Access {
  readonly #options: AccessOptions;
  readonly #hosts: ReadonlySet<string>;
  readonly #everyAddress: boolean;
  readonly #password: PasswordGuard | undefined;
  readonly #token: Buffer;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#hosts = new Set([...LOOPBACK, ...[options.host, ...options.allowHosts].map(bracketed)]);
    this.#everyAddress = options.host === "0.0.0.0" || options.host === "::";
    this.#password = options.password === undefined ? undefined : new PasswordGuard(options.password);
    this.#token = digest(options.token);
  }

  /** What every request has to get past, whatever it asks for. `address`: of who asks. */
  check(method: string, header: HeaderOf, address: string | undefined): Refusal | undefined {
    return this.checkHost(header) ?? this.checkOrigin(method, header) ?? this.checkPassword(header, address);
  }

  checkHost(header: HeaderOf): Refusal | undefined {
    const host = header("host");
    const name = host === undefined ? undefined : hostOf(host)?.hostname;
    if (name !== undefined && (this.#hosts.has(name) || (this.#everyAddress && isAddress(name)))) return undefined;
    return {
      status: 403,
      code: "HOST_REFUSED",
      message: `this server is not known as ${JSON.stringify(host ?? "")}; a name that it shall have is given with --dashboard-allow-host`,
    };
  }

  /** The page itself may be opened from anywhere (a link); all else only from the page. */
  checkOrigin(method: string, header: HeaderOf): Refusal | undefined {
    const origin = header("origin");
    const opened = header("sec-fetch-mode") === "navigate" && header("sec-fetch-dest") === "document";
    if (method === "GET" && opened) return undefined;
    // Where it is sent (browsers do, but not for images and the like), it must be us.
    if (origin !== undefined && !this.isOwnOrigin(origin, header)) return foreign(origin);
    const site = header("sec-fetch-site");
    if (site === undefined || site === "same-origin" || site === "none") return undefined;
    return foreign(origin ?? site);
  }

  isOwnOrigin(origin: string, header: HeaderOf): boolean {
    const host = header("host");
    if (host === undefined || !URL.canParse(origin)) return false;
    const url = new URL(origin);
    if (url.protocol !== "http:" && url.protocol !== "https:") return false;
    return hostOf(host, url.protocol)?.host === url.host;
  }

  /** HTTP Basic with any user name, or a Bearer token. */
  checkPassword(header: HeaderOf, address: string | undefined): Refusal | undefined {
    if (this.#password === undefined) return undefined;
    const [scheme = "", value = ""] = (header("authorization") ?? "").split(/ +(.*)/s);
    let given: string | undefined;
    if (/^bearer$/i.test(scheme)) given = value.trim();
    else if (/^basic$/i.test(scheme)) {
      const text = Buffer.from(value, "base64").toString();
      given = text.slice(text.indexOf(":") + 1);
    }
    const verdict = given === undefined ? undefined : this.#password.check(given, address);
    if (verdict === "right") return undefined;
    if (verdict === "wait")
      return {
        status: 429,
        code: "TOO_MANY_TRIES",
        message: "too many wrong passwords came from your address: try again in a second",
      };
    return {
      status: 401,
      code: "PASSWORD_NEEDED",
      message: given === undefined ? "this dashboard asks for its password" : "that is not the password of this dashboard",
    };
  }

  /** What a request has to have besides to change something. */
  checkWrite(header: HeaderOf): Refusal | undefined {
    if (this.#options.readOnly)
      return { status: 403, code: "READ_ONLY", message: "this dashboard is read-only: it shows and changes nothing" };
    const token = header("sluice-token");
    if (token !== undefined && timingSafeEqual(digest(token), this.#token)) return undefined;
    return {
      status: 403,
      code: "TOKEN_NEEDED",
      message:
        token === undefined
          ? "what changes something needs the header Sluice-Token, with the token that the page was given"
          : "the token is not that of this start: load the page again",
    };
  }

  /** A body that a form of another page cannot send. */
  checkJson(header: HeaderOf): Refusal | undefined {
    const type = header("content-type");
    if (type !== undefined && /^application\/json\s*(;|$)/i.test(type.trim())) return undefined;
    return {
      status: 415,
      code: "JSON_NEEDED",
      message: `expected a body of content-type application/json, got ${type === undefined ? "none" : JSON.stringify(type)}`,
    };
  }
}

/** Only programs on this machine reach it. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

function foreign(origin: string): Refusal {
  return { status: 403, code: "ORIGIN_REFUSED", message: `requests of other pages are refused (${JSON.stringify(origin)})` };
}

/** Of equal length whatever came, so that the comparison takes equally long. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Name and port as browsers write them: lower case, default ports left out. */
function hostOf(host: string, protocol = "http:"): URL | undefined {
  // What is no host must not become one by being part of a URL.
  return /^[^\s/?#@\\]+$/.test(host) && URL.canParse(`${protocol}//${host}`) ? new URL(`${protocol}//${host}`) : undefined;
}

function bracketed(host: string): string {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  return hostOf(name)?.hostname ?? name.toLowerCase();
}

/** Addresses cannot be rebound: a page from there is a page of this machine. */
function isAddress(name: string): boolean {
  return isIP(name.startsWith("[") ? name.slice(1, -1) : name) !== 0;
}
