/** Who may ask the dashboard for what: the checks on their own, header by header. */
import { describe, expect, test } from "vitest";
import { Access, isLoopback, type AccessOptions } from "../../src/server/access.ts";

const TOKEN = "the-token-of-this-start";

function access(options: Partial<AccessOptions> = {}): Access {
  return new Access({ host: "127.0.0.1", allowHosts: [], password: undefined, readOnly: false, token: TOKEN, ...options });
}

const headers =
  (given: Readonly<Record<string, string>>) =>
  (name: string): string | undefined =>
    given[name];

describe("the Host", () => {
  test.each(["localhost:7788", "127.0.0.1:7788", "[::1]:7788", "localhost", "LOCALHOST:1"])("%s is ours", (host) => {
    expect(access().checkHost(headers({ host }))).toBeUndefined();
  });

  test.each([
    "evil.example",
    "evil.example:7788",
    "localhost.evil.example",
    "127.0.0.1.evil.example:7788",
    "evil.example@127.0.0.1",
    "127.0.0.1:7788/evil",
    "10.0.0.1:7788",
    "",
  ])("%j is refused", (host) => {
    expect(access().checkHost(headers({ host }))).toMatchObject({ status: 403, code: "HOST_REFUSED" });
  });

  test("has to be there", () => {
    expect(access().checkHost(headers({}))).toMatchObject({ code: "HOST_REFUSED" });
  });

  test("may be a name that was allowed, or the address that is listened on", () => {
    const one = access({ host: "10.1.2.3", allowHosts: ["Dash.Example.com"], password: "x" });
    for (const host of ["dash.example.com", "dash.example.com:443", "10.1.2.3:7788", "localhost:7788"])
      expect(one.checkHost(headers({ host })), host).toBeUndefined();
    expect(one.checkHost(headers({ host: "10.1.2.4:7788" }))).toMatchObject({ code: "HOST_REFUSED" });
    expect(one.checkHost(headers({ host: "example.com" }))).toMatchObject({ code: "HOST_REFUSED" });
  });

  test("may be any address, but no name, where all addresses are listened on", () => {
    const one = access({ host: "0.0.0.0", password: "x" });
    expect(one.checkHost(headers({ host: "192.168.1.7:7788" }))).toBeUndefined();
    expect(one.checkHost(headers({ host: "[fe80::1]:7788" }))).toBeUndefined();
    expect(one.checkHost(headers({ host: "evil.example:7788" }))).toMatchObject({ code: "HOST_REFUSED" });
  });
});

describe("the Origin", () => {
  const host = "127.0.0.1:7788";
  const refused = { status: 403, code: "ORIGIN_REFUSED" };

  test.each(["GET", "POST"])("is none for programs, or our own: %s", (method) => {
    expect(access().checkOrigin(method, headers({ host }))).toBeUndefined();
    expect(access().checkOrigin(method, headers({ host, origin: "http://127.0.0.1:7788" }))).toBeUndefined();
    expect(
      access().checkOrigin(method, headers({ host, origin: "http://127.0.0.1:7788", "sec-fetch-site": "same-origin" })),
    ).toBeUndefined();
  });

  test("is the https address behind a proxy", () => {
    const dash = headers({ host: "dash.example.com", origin: "https://dash.example.com" });
    expect(access({ allowHosts: ["dash.example.com"] }).checkOrigin("POST", dash)).toBeUndefined();
  });

  test.each([
    "https://evil.example",
    "http://127.0.0.1:8080",
    "http://localhost:7788",
    "null",
    "",
    "file://",
    "http://127.0.0.1:7788.evil.example",
  ])("%j is refused", (origin) => {
    expect(access().checkOrigin("POST", headers({ host, origin }))).toMatchObject(refused);
    expect(access().checkOrigin("GET", headers({ host, origin }))).toMatchObject(refused);
  });

  test("is not all that a browser says: images and forms of other pages are refused without one", () => {
    for (const site of ["cross-site", "same-site"]) {
      expect(
        access().checkOrigin(
          "GET",
          headers({ host, "sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" }),
        ),
      ).toMatchObject(refused);
      expect(
        access().checkOrigin(
          "POST",
          headers({ host, "sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }),
        ),
      ).toMatchObject(refused);
    }
  });

  test("does not matter when somebody opens the page by a link, but does in a frame", () => {
    const link = { host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    expect(access().checkOrigin("GET", headers({ ...link, "sec-fetch-dest": "document" }))).toBeUndefined();
    expect(access().checkOrigin("GET", headers({ ...link, "sec-fetch-dest": "iframe" }))).toMatchObject(refused);
  });
});

describe("the password", () => {
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;
  const locked = access({ password: "pass:wörd " });

  test("is taken as HTTP Basic with any user, and as a Bearer token", () => {
    for (const authorization of [basic("ada:pass:wörd "), basic(":pass:wörd "), "basic OnBhc3M6d8O2cmQg"])
      expect(locked.checkPassword(headers({ authorization }), "192.0.2.1"), authorization).toBeUndefined();
    expect(access({ password: "word" }).checkPassword(headers({ authorization: "Bearer word" }), "192.0.2.1")).toBeUndefined();
  });

  test.each(["", "Basic", "Basic !!!", basic("ada:pass:word"), basic("ada:"), basic("ada"), "Bearer pass", "Digest pass:wörd"])(
    "is not %j",
    (authorization) => {
      expect(locked.checkPassword(headers({ authorization }), "192.0.2.1")).toMatchObject({
        status: 401,
        code: "PASSWORD_NEEDED",
      });
    },
  );

  test("is asked for only where there is one", () => {
    expect(locked.checkPassword(headers({}), "192.0.2.1")).toMatchObject({ status: 401 });
    expect(access().checkPassword(headers({}), "192.0.2.1")).toBeUndefined();
  });
});

describe("writes", () => {
  test("need the token of this start", () => {
    expect(access().checkWrite(headers({ "sluice-token": TOKEN }))).toBeUndefined();
    expect(access().checkWrite(headers({}))).toMatchObject({ status: 403, code: "TOKEN_NEEDED" });
    expect(access().checkWrite(headers({ "sluice-token": `${TOKEN}x` }))).toMatchObject({ code: "TOKEN_NEEDED" });
  });

  test("are refused in read-only mode even with it", () => {
    expect(access({ readOnly: true }).checkWrite(headers({ "sluice-token": TOKEN }))).toMatchObject({ code: "READ_ONLY" });
  });

  test.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", ""])(
    "are not taken as %j, which forms can send",
    (type) => {
      expect(access().checkJson(headers({ "content-type": type }))).toMatchObject({ status: 415, code: "JSON_NEEDED" });
    },
  );

  test("are taken as JSON", () => {
    for (const type of ["application/json", "application/json; charset=utf-8", "Application/JSON"])
      expect(access().checkJson(headers({ "content-type": type })), type).toBeUndefined();
  });
});

test("only addresses of this machine go without a password", () => {
  for (const host of ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"]) expect(isLoopback(host), host).toBe(true);
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example"])
    expect(isLoopback(host), host).toBe(false);
});
