/** A list of rows of one height, of which only those in view exist. */
import type { AriaRole, ComponentChildren, JSX, Ref } from "preact";
import { useCallback, useImperativeHandle, useLayoutEffect, useRef, useState } from "preact/hooks";
import "./kit.css";

export interface VirtualListHandle {
  /** Scrolls no further than needed. */
  scrollTo(index: number): void;
  /** Moves the view by rows, without the reader noticing: rows were added or removed above. */
  shift(rows: number): void;
  readonly element: HTMLElement | null;
}

export interface VirtualListProps {
  readonly count: number;
  /** In px; as `--row`. */
  readonly rowHeight?: number;
  /** Must give its outermost element a key. */
  readonly render: (index: number) => ComponentChildren;
  /** Rows in view, and whether the list stands at its top; called when that changes. */
  readonly onView?: (first: number, last: number, atTop: boolean) => void;
  readonly class?: string;
  readonly label?: string;
  readonly role?: AriaRole;
  /** Default 0: it can be scrolled with the keys. */
  readonly tabIndex?: number;
  readonly handle?: Ref<VirtualListHandle>;
  /** Where the list begins. */
  readonly initialTop?: number;
}

/** Rows beyond the edges: so many that a frame of fast scrolling finds them there. */
const OVERSCAN = 8;

export function VirtualList(props: VirtualListProps): JSX.Element {
  const { count, rowHeight = 28, render, onView, handle, initialTop = 0 } = props;
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(initialTop);
  const [height, setHeight] = useState(0);

  const first = Math.min(Math.max(0, count - 1), Math.floor(top / rowHeight));
  const last = Math.min(count - 1, Math.ceil((top + height) / rowHeight));
  const from = Math.max(0, first - OVERSCAN);
  const to = Math.min(count, last + 1 + OVERSCAN);

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    if (initialTop > 0) element.scrollTop = initialTop;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    setHeight(element.clientHeight);
    return () => observer.disconnect();
  }, []);

  const atTop = top < rowHeight / 2;
  useLayoutEffect(() => {
    if (height > 0) onView?.(first, last, atTop);
  }, [first, last, atTop, height, onView]);

  const onScroll = useCallback(() => setTop(box.current?.scrollTop ?? 0), []);
  useImperativeHandle(
    handle ?? null,
    () => ({
      scrollTo(index: number) {
        const element = box.current;
        if (element === null) return;
        const y = index * rowHeight;
        if (y < element.scrollTop) element.scrollTop = y;
        else if (y + rowHeight > element.scrollTop + element.clientHeight)
          element.scrollTop = y + rowHeight - element.clientHeight;
        setTop(element.scrollTop);
      },
      shift(rows: number) {
        if (box.current === null) return;
        box.current.scrollTop += rows * rowHeight;
        setTop(box.current.scrollTop);
      },
      get element() {
        return box.current;
      },
    }),
    [rowHeight],
  );

  const rows: ComponentChildren[] = [];
  for (let index = from; index < to; index++) rows.push(render(index));
  return (
    <div
      ref={box}
      class={`kit-virtual ${props.class ?? ""}`}
      role={props.role}
      aria-label={props.label}
      tabIndex={props.tabIndex ?? 0}
      onScroll={onScroll}
    >
      <div
        class="kit-virtual-space"
        role={props.role === undefined ? undefined : "presentation"}
        style={{ height: `${count * rowHeight}px` }}
      >
        <div
          class="kit-virtual-rows"
          role={props.role === undefined ? undefined : "presentation"}
          style={{ transform: `translateY(${from * rowHeight}px)` }}
        >
          {rows}
        </div>
      </div>
    </div>
  );
}
