/** A state in the drawing: its box, header and rows. What changes while one looks at it (active, standing) is set by `highlight.ts`. */
import type { JSX } from "preact";
import type { ChartModel } from "../../chart/index.ts";
import { LINE, PAD, ROW_INDENT, TITLE } from "./box.ts";
import { describeState } from "./describe.ts";
import type { PlacedBox } from "./graph.ts";
import type { Measure } from "./measure.ts";

/** Of the text's own: without it, what is drawn next to each other is one word to who cannot see the gap. */
const SPACE = " ";

export interface StateBoxProps {
  readonly model: ChartModel;
  readonly box: PlacedBox;
  readonly measure: Measure;
}

export function StateBox({ model, box, measure }: StateBoxProps): JSX.Element {
  const { node, x, y, w, h, collapsed } = box;
  const isOpen = node.children.length > 0 && !collapsed;
  const shape = node.kind === "history" ? <HistoryCircle box={box} /> : <Frame box={box} isOpen={isOpen} />;
  return (
    <g
      class="chart-state"
      transform={`translate(${x} ${y})`}
      role="treeitem"
      tabindex={node.parent === undefined ? 0 : -1}
      aria-level={node.depth + 1}
      aria-expanded={node.children.length > 0 ? isOpen : undefined}
      aria-label={describeState(model, node, writtenOn(box))}
      data-state={node.id}
      data-kind={node.kind}
      data-open={isOpen ? "" : undefined}
      data-collapsed={collapsed ? "" : undefined}
      data-region={box.region ? "" : undefined}
      data-ending={node.ending}
      data-broken={node.problems.length > 0 ? "" : undefined}
    >
      {shape}
      {node.kind !== "history" && <Header box={box} measure={measure} isOpen={isOpen} />}
      {node.kind !== "history" && <Rows box={box} />}
      <rect class="chart-focus" x={-3} y={-3} width={w + 6} height={h + 6} rx={9} />
    </g>
  );
}

/** All texts of the box, in the order of the drawing. */
function writtenOn({ node, title, tags, description, rows }: PlacedBox): readonly string[] {
  if (node.kind === "history") return [node.history === "deep" ? "H*" : "H", node.key];
  return [title, ...tags, ...description, ...rows.map(({ text, rest }) => (rest === undefined ? text : `${text} ${rest}`))];
}

function HistoryCircle({ box }: { readonly box: PlacedBox }): JSX.Element {
  const r = box.w / 2;
  return (
    <>
      <circle class="chart-halo" cx={r} cy={r} r={r + 2} />
      <circle class="chart-box" cx={r} cy={r} r={r - 0.5} />
      <text class="chart-history" x={r} y={r + 4}>
        {box.node.history === "deep" ? "H*" : "H"}
      </text>
    </>
  );
}

function Frame({ box, isOpen }: { readonly box: PlacedBox; readonly isOpen: boolean }): JSX.Element {
  const { node, w, h } = box;
  return (
    <>
      {box.collapsed && <rect class="chart-stack" x={4} y={4} width={w} height={h} rx={7} />}
      <rect class="chart-halo" x={-1} y={-1} width={w + 2} height={h + 2} rx={8} />
      <rect class="chart-box" x={0.5} y={0.5} width={w - 1} height={h - 1} rx={7} />
      {node.kind === "final" && <rect class="chart-inner" x={3.5} y={3.5} width={w - 7} height={h - 7} rx={4.5} />}
      {isOpen && <path class="chart-rule" d={`M1 ${box.height + 0.5}H${w - 1}`} />}
    </>
  );
}

function Header({ box, measure, isOpen }: StateBoxPropsOf): JSX.Element {
  const { node, w } = box;
  const inset = node.kind === "final" ? 2 : 0;
  const chevron = node.children.length > 0;
  const left = PAD + inset + (chevron ? 14 : 0);
  const alone = !chevron && box.rows.length === 0 && box.description.length === 0 && box.tags.length === 0;
  let after = left + measure(box.title, "title") + 8;
  const tags = box.tags.map((tag) => {
    const place = { tag, x: after, width: measure(tag, "text") + 10 };
    after += place.width + 4;
    return place;
  });
  return (
    <>
      {/* The whole header is what one hits to open and close. */}
      {chevron && <rect class="chart-toggle" data-toggle={node.id} x={1} y={1} width={w - 2} height={TITLE - 2} rx={6} />}
      {chevron && (
        <path
          class="chart-chevron"
          d={isOpen ? "M0 0l4 4l4 -4" : "M2 -2l4 4l-4 4"}
          transform={`translate(${PAD - 1 + inset} ${isOpen ? 13.5 : 13})`}
        />
      )}
      <text class="chart-title" data-alone={alone ? "" : undefined} x={alone ? w / 2 : left} y={TITLE / 2 + 4.5 + inset}>
        {box.title}
        {SPACE}
      </text>
      {node.kind === "parallel" && <path class="chart-parallel" d={`M${after} 10v10m4 -10v10`} />}
      {tags.map(({ tag, x, width }) => (
        <g key={tag} transform={`translate(${x} 8)`}>
          <rect class="chart-tag" width={width} height={15} rx={4} />
          <text class="chart-tag-text" x={5} y={11.5}>
            {tag}
            {SPACE}
          </text>
        </g>
      ))}
      {node.problems.length > 0 && (
        <text class="chart-warning" x={w - 20} y={TITLE / 2 + 5}>
          ⚠
        </text>
      )}
      {box.collapsed && (
        <g transform={`translate(${PAD} ${TITLE + LINE - 5})`}>
          <circle class="chart-standing-dot" cx={4} cy={-4} r={3.5} />
          <text class="chart-standing" data-standing={node.id} x={14} y={0} />
        </g>
      )}
    </>
  );
}

interface StateBoxPropsOf {
  readonly box: PlacedBox;
  readonly measure: Measure;
  readonly isOpen: boolean;
}

function Rows({ box }: { readonly box: PlacedBox }): JSX.Element {
  const inset = box.node.kind === "final" ? 2 : 0;
  const top = TITLE + 7 + inset;
  return (
    <>
      {box.description.map((line, i) => (
        <text key={line} class="chart-description" x={PAD + inset} y={top + i * LINE + 2}>
          {line}
          {SPACE}
        </text>
      ))}
      {box.rows.map((row, i) => {
        const y = top + (box.description.length + i) * LINE + 3;
        return (
          <g
            key={`${row.kind} ${row.edge ?? row.text}`}
            class="chart-row"
            data-kind={row.kind}
            data-tone={row.tone}
            data-edge={row.edge}
          >
            <rect class="chart-row-back" x={4} y={y - 11.5} width={box.w - 8} height={LINE} rx={3} />
            <text class="chart-row-sign" x={PAD + inset + 5} y={y}>
              {row.sign}
              {SPACE}
            </text>
            <text class="chart-row-text" x={PAD + inset + ROW_INDENT} y={y}>
              {row.text}
              {SPACE}
              {row.rest !== undefined && (
                <tspan class="chart-mono" dx={2}>
                  {row.rest}
                  {SPACE}
                </tspan>
              )}
            </text>
          </g>
        );
      })}
    </>
  );
}
