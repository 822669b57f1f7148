/** The entry of the page. */
import { render } from "preact";
import { App } from "./shell/app.tsx";
import { applyTheme } from "./shell/theme.ts";
import "./theme.css";

applyTheme();
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
