/**
 * The machine as nested cards: needs no layout, wraps to any width, and is plain text for those who read it with their ears. Used in narrow
 * panels and for very large machines.
 */
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { nodeOf, pathLabel, type ChartEdge, type ChartModel, type ChartNode } from "../../chart/index.ts";
import type { RunFrame } from "../../protocol/record.ts";
import { shortCount } from "./counts.ts";
import { isMachinery, SIGNS } from "./box.ts";
import { highlight, type Lit } from "./highlight.ts";
import { leftText, useNow } from "./timers.tsx";

export interface CardsProps {
  readonly model: ChartModel;
  readonly collapsed: ReadonlySet<string>;
  readonly lit: Lit;
  readonly counts: Readonly<Record<string, number>> | undefined;
  readonly timers: RunFrame["timers"] | undefined;
  readonly now: number | undefined;
  readonly details: boolean;
  readonly onToggle: (id: string) => void;
  readonly onState: ((id: string) => void) | undefined;
}

export function Cards(props: CardsProps): JSX.Element {
  const { model, collapsed, lit } = props;
  const container = useRef<HTMLDivElement>(null);
  const time = useNow(props.timers, props.now);
  useLayoutEffect(() => {
    if (container.current !== null) highlight(container.current, model, collapsed, lit);
  }, [model, collapsed, lit, props.details]);
  return (
    <div ref={container} class="chart-cards">
      <ul class="chart-card-list">
        <Card {...props} node={nodeOf(model, model.root)} time={time} goTo={(id) => goTo(container.current, id)} />
      </ul>
    </div>
  );
}

interface CardProps extends CardsProps {
  readonly node: ChartNode;
  readonly time: number;
  readonly goTo: (id: string) => void;
}

function goTo(container: HTMLElement | null, id: string): void {
  const card = container?.querySelector<HTMLElement>(`[data-state="${CSS.escape(id)}"]`);
  card?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  card?.querySelector<HTMLElement>(".chart-card-title")?.focus({ preventScroll: true });
}

function Card(props: CardProps): JSX.Element {
  const { model, node, collapsed, counts, details, onToggle, onState } = props;
  const isCollapsed = collapsed.has(node.id);
  const hasStates = node.children.length > 0;
  const edges = node.edges.flatMap((id) => model.edges.get(id) ?? []).filter((edge) => !isMachinery(edge));
  const count = counts?.[node.id] ?? 0;
  const press = (): void => {
    if (hasStates && (isCollapsed || onState === undefined)) onToggle(node.id);
    else onState?.(node.id);
  };
  const isInitial = node.parent !== undefined && model.nodes.get(node.parent)?.initial === node.id;
  return (
    <li
      class="chart-card"
      data-state={node.id}
      data-kind={node.kind}
      data-open={hasStates && !isCollapsed ? "" : undefined}
      data-collapsed={isCollapsed ? "" : undefined}
      data-region={node.parent !== undefined && nodeOf(model, node.parent).kind === "parallel" ? "" : undefined}
      data-ending={node.ending}
    >
      <div class="chart-card-head">
        {hasStates && (
          <button
            type="button"
            class="chart-card-toggle"
            aria-expanded={!isCollapsed}
            aria-label={`${isCollapsed ? "Open" : "Close"} ${node.key}`}
            onClick={() => onToggle(node.id)}
          >
            {isCollapsed ? "▸" : "▾"}
          </button>
        )}
        {isInitial && <span class="chart-card-initial" title="initial state" aria-label="initial state" role="img" />}
        <button type="button" class="chart-card-title" title={node.description ?? pathLabel(model, node.id)} onClick={press}>
          {node.kind === "history" ? (node.history === "deep" ? "H*" : "H") : node.key}
        </button>
        {node.kind === "parallel" && <span class="chart-card-kind">parallel</span>}
        {node.tags.map((tag) => (
          <span key={tag} class="chart-card-tag">
            {tag}
          </span>
        ))}
        {count > 0 && (
          <button
            type="button"
            class="chart-card-count"
            data-badge={node.id}
            aria-label={`${count} in ${node.key}`}
            onClick={() => onState?.(node.id)}
          >
            {shortCount(count)}
          </button>
        )}
      </div>
      {isCollapsed ? (
        <div class="chart-card-standing">
          <span class="chart-card-dot" />
          <span data-standing={node.id} />
          <CardTimer {...props} />
        </div>
      ) : (
        <>
          {details && node.description !== undefined && <p class="chart-card-text">{node.description}</p>}
          {node.problems.map((problem) => (
            <p key={problem} class="chart-card-problem">
              {problem}
            </p>
          ))}
          <CardFacts node={node} details={details} />
          {edges.length > 0 && (
            <ul class="chart-card-edges">
              {edges.map((edge) => (
                <CardEdge key={edge.id} {...props} edge={edge} />
              ))}
            </ul>
          )}
          {hasStates && (
            <ul class="chart-card-list">
              {node.children.map((id) => (
                <Card key={id} {...props} node={nodeOf(model, id)} />
              ))}
            </ul>
          )}
        </>
      )}
    </li>
  );
}

function CardFacts({ node, details }: { readonly node: ChartNode; readonly details: boolean }): JSX.Element | null {
  const facts = [
    ...node.invokes.map(({ id, src }) => ({ name: "invokes", text: id ?? src })),
    ...(details ? node.entry.map((text) => ({ name: "entry", text })) : []),
    ...(details ? node.exit.map((text) => ({ name: "exit", text })) : []),
  ];
  if (facts.length === 0) return null;
  return (
    <div class="chart-card-facts">
      {facts.map(({ name, text }) => (
        <span key={`${name} ${text}`}>
          <em>{name}</em> {text}
        </span>
      ))}
    </div>
  );
}

function CardEdge({ model, edge, details, timers, time, goTo }: CardProps & { readonly edge: ChartEdge }): JSX.Element {
  const timer = timers?.find(({ transition }) => transition === edge.id);
  return (
    <li class="chart-card-edge" data-edge={edge.id} data-tone={edge.tone}>
      <span class="chart-card-event">
        {SIGNS[edge.tone]}
        {edge.short}
      </span>
      {edge.guard !== undefined && <span class="chart-card-guard">if {edge.guard}</span>}
      {edge.targets.map((target) => (
        <button key={target} type="button" class="chart-card-target" onClick={() => goTo(target)}>
          → {model.nodes.get(target)?.key ?? target}
        </button>
      ))}
      {edge.forbidden && <span class="chart-card-guard">ignored</span>}
      {details && edge.actions.length > 0 && <span class="chart-card-actions">/ {edge.actions.join(", ")}</span>}
      {timer !== undefined && <span class="chart-card-timer">{leftText(Date.parse(timer.dueAt) - time)}</span>}
    </li>
  );
}

/** The first timer of what is hidden in a collapsed card. */
function CardTimer({ model, node, timers, time }: CardProps): JSX.Element | null {
  const timer = timers?.find(({ transition }) => {
    const source = transition === undefined ? undefined : model.edges.get(transition)?.source;
    for (let at = source; at !== undefined; at = model.nodes.get(at)?.parent) if (at === node.id) return true;
    return false;
  });
  return timer === undefined ? null : <span class="chart-card-timer">{leftText(Date.parse(timer.dueAt) - time)}</span>;
}
