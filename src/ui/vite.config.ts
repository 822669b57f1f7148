/** Builds the dashboard to dist/ui: files of its own only, hashed names, nothing inline (the page's security policy). */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** ELK's worker is shipped as it is, under the Eclipse Public License 2.0: its text stands beside it. */
const elkLicence: Plugin = {
  name: "elk-licence",
  generateBundle() {
    const source = readFileSync(createRequire(import.meta.url).resolve("elkjs/LICENSE.md"), "utf8");
    const notice = [
      "The file elk-worker.min-….js in this folder is elk-worker.min.js of elkjs (https://github.com/kieler/elkjs), unmodified.",
      "Copyright (c) Kiel University and others. Its source is available there. SPDX-License-Identifier: EPL-2.0 OR GPL-3.0-or-later",
    ].join("\n");
    this.emitFile({ type: "asset", fileName: "assets/elk-worker.LICENSE.txt", source: `${notice}\n\n${source}` });
  },
};

// oxlint-disable-next-line import/no-default-export -- what vite reads
export default defineConfig({
  root: at("."),
  base: "/",
  plugins: [elkLicence],
  build: {
    outDir: at("../../dist/ui"),
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2_000,
  },
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
});
