/** Accessibility, as far as axe-core can judge it: serious and critical findings fail the test. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";

interface Finding {
  readonly id: string;
  readonly impact?: string | null;
  readonly help: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

let source: Promise<string> | undefined;

/** Of the whole page, or of what a selector names. Evaluated through the debugging protocol, which the page's policy does not bind. */
export async function axeCheck(page: Page, selector?: string): Promise<void> {
  source ??= readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(await source);
  const findings = (await page.evaluate(async (selector) => {
    const axe = (
      globalThis as unknown as { axe: { run(context: unknown, options: unknown): Promise<{ violations: unknown[] }> } }
    ).axe;
    return (await axe.run(selector ?? document, { resultTypes: ["violations"] })).violations;
  }, selector)) as readonly Finding[];
  const serious = findings.filter(({ impact }) => impact === "serious" || impact === "critical");
  if (serious.length === 0) return;
  const lines = serious.flatMap(({ id, impact, help, nodes }) => [
    `${impact}: ${id}: ${help}`,
    ...nodes
      .slice(0, 5)
      .map(({ html, failureSummary = "" }) => `    ${html.slice(0, 200)} ${failureSummary.replaceAll(/\s+/g, " ")}`),
  ]);
  throw new Error(`axe-core found on ${page.url()}:\n  ${lines.join("\n  ")}`);
}
