/** Renders <Chart> alone, with props that a test gives: `showChart(props)`; what is clicked is in `clickedStates`. Not shipped. */
import { h, render } from "preact";
import { startKeys } from "../../../../src/ui/kit/keys.tsx";
import { Toasts } from "../../../../src/ui/kit/toast.tsx";
import { Chart } from "../../../../src/ui/chart/chart.tsx";
import "../../../../src/ui/theme.css";
import "./harness.css";

startKeys();
globalThis.clickedStates = [];

globalThis.showChart = ({ clicks = true, ...props }) => {
  globalThis.shownAt = performance.now();
  const onState = clicks ? (id) => globalThis.clickedStates.push(id) : undefined;
  render([h(Chart, { ...props, onState }), h(Toasts, {})], document.getElementById("main"));
};
