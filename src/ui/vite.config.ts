/** Builds the dashboard to dist/ui: files of its own only, hashed names, nothing inline (the page's security policy). */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

// oxlint-disable-next-line import/no-default-export -- what vite reads
export default defineConfig({
  root: at("."),
  base: "/",
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
