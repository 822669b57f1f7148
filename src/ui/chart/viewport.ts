/**
 * Pan and zoom of the drawing. Moves one group by its transform, without rendering anything: dragging, two fingers, the wheel
 * (with ctrl it zooms at the pointer), and what buttons and keys ask for.
 */

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Rect extends Size {
  readonly x: number;
  readonly y: number;
}

export interface View {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
}

const MIN_SCALE = 0.08;
const MAX_SCALE = 3;
const MARGIN = 16;
/** Smaller than this, nothing can be read: a chart opens at a part of it rather. */
const MIN_READABLE = 0.55;

/** The buttons at the upper right are over the drawing: nothing of it comes to lie there if that can be avoided. */
const TOOLS: Size = { width: 262, height: 44 };

export function fitted(panel: Size, drawing: Size): View {
  const at = (top: number): View => {
    const room = { width: panel.width - 2 * MARGIN, height: panel.height - top - MARGIN };
    const scale = Math.max(MIN_SCALE, Math.min(1, room.width / drawing.width, room.height / drawing.height));
    const [width, height] = [drawing.width * scale, drawing.height * scale];
    return { scale, x: (panel.width - width) / 2, y: Math.max(top, (panel.height - height) / 2) };
  };
  const whole = at(MARGIN);
  const isCovered = whole.y < TOOLS.height && whole.x + drawing.width * whole.scale > panel.width - TOOLS.width;
  if (!isCovered) return whole;
  // Moved to the left, or down, whichever leaves it larger.
  const left = { ...whole, x: panel.width - TOOLS.width - drawing.width * whole.scale };
  return left.x >= MARGIN ? left : at(TOOLS.height);
}

export class Viewport {
  readonly #svg: SVGSVGElement;
  readonly #world: SVGGElement;
  #drawing: Size = { width: 1, height: 1 };
  #view: View = { x: 0, y: 0, scale: 1 };
  readonly #pointers = new Map<number, { x: number; y: number }>();
  #moved = 0;
  #wasMoved = false;
  readonly #abort = new AbortController();

  constructor(svg: SVGSVGElement, world: SVGGElement) {
    this.#svg = svg;
    this.#world = world;
    const options = { signal: this.#abort.signal };
    svg.addEventListener("wheel", this.#onWheel, { ...options, passive: false });
    svg.addEventListener("pointerdown", this.#onDown, options);
    svg.addEventListener("pointermove", this.#onMove, options);
    svg.addEventListener("pointerup", this.#onUp, options);
    svg.addEventListener("pointercancel", this.#onUp, options);
    // A drag that ends on a state is not a click on it.
    svg.addEventListener("click", this.#onClick, { ...options, capture: true });
  }

  stop(): void {
    this.#abort.abort();
  }

  /** True once a person has moved the drawing: then nothing else moves it. */
  get wasMoved(): boolean {
    return this.#wasMoved;
  }

  get view(): View {
    return this.#view;
  }

  get panel(): Size {
    const { clientWidth: width, clientHeight: height } = this.#svg;
    return { width, height };
  }

  set drawing(drawing: Size) {
    this.#drawing = drawing;
  }

  /** The whole of it. Follows what is active again. */
  fit(): void {
    this.#wasMoved = false;
    this.show(fitted(this.panel, this.#drawing));
  }

  /** After the panel has changed. */
  fitAgain(): void {
    if (fitted(this.panel, this.#drawing).scale >= MIN_READABLE) this.fit();
    else this.show(this.#view);
  }

  /** As it opens: whole if it can be read, else its beginning, or around `focus`. */
  open(focus: Rect | undefined): void {
    const whole = fitted(this.panel, this.#drawing);
    if (whole.scale >= MIN_READABLE) return this.show(whole);
    const scale = MIN_READABLE + 0.15;
    const x = Math.max(MARGIN, (this.panel.width - this.#drawing.width * scale) / 2);
    this.show({ scale, x, y: MARGIN });
    if (focus !== undefined) this.reveal(focus);
  }

  show(view: View): void {
    const { width, height } = this.panel;
    const { scale } = view;
    // Some of it stays in sight.
    const keep = 60;
    const x = Math.min(width - keep, Math.max(keep - this.#drawing.width * scale, view.x));
    const y = Math.min(height - keep, Math.max(keep - this.#drawing.height * scale, view.y));
    this.#view = { x, y, scale };
    this.#world.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${scale.toFixed(4)})`);
  }

  zoom(factor: number, at?: { readonly x: number; readonly y: number }): void {
    const { width, height } = this.panel;
    const point = at ?? { x: width / 2, y: height / 2 };
    const { x, y, scale } = this.#view;
    const next = Math.min(MAX_SCALE, Math.max(MIN_SCALE, scale * factor));
    const k = next / scale;
    this.#wasMoved = true;
    this.show({ scale: next, x: point.x - (point.x - x) * k, y: point.y - (point.y - y) * k });
  }

  /** Moves by as little as is needed to have it in sight. */
  reveal(rect: Rect): void {
    const { x, y, scale } = this.#view;
    const { width, height } = this.panel;
    const shift = (start: number, size: number, room: number): number => {
      const margin = Math.min(40, Math.max(0, (room - size) / 2));
      if (start < margin) return margin - start;
      const over = start + size - (room - margin);
      return over > 0 ? -Math.min(over, start - margin) : 0;
    };
    const dx = shift(x + rect.x * scale, rect.width * scale, width);
    const dy = shift(y + rect.y * scale, rect.height * scale, height);
    if (dx !== 0 || dy !== 0) this.show({ x: x + dx, y: y + dy, scale });
  }

  /** Moves the drawing so that this point of it is where that one was: for a layout that changes under the pointer. */
  keep(before: { readonly x: number; readonly y: number }, after: { readonly x: number; readonly y: number }): void {
    const { x, y, scale } = this.#view;
    this.show({ x: x + (before.x - after.x) * scale, y: y + (before.y - after.y) * scale, scale });
  }

  #at(event: { readonly clientX: number; readonly clientY: number }): { x: number; y: number } {
    const { left, top } = this.#svg.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  #onWheel = (event: WheelEvent): void => {
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * unit * 0.0022 * (Math.abs(event.deltaY) < 20 ? 4 : 1)), this.#at(event));
      return;
    }
    const { x, y } = this.#view;
    const [dx, dy] = event.shiftKey ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
    if (!this.#canMove(dx, dy)) return; // the page scrolls
    event.preventDefault();
    this.#wasMoved = true;
    this.show({ ...this.#view, x: x - dx * unit, y: y - dy * unit });
  };

  /** There is something of it beyond the edge that one scrolls towards. */
  #canMove(dx: number, dy: number): boolean {
    const { x, y, scale } = this.#view;
    const { width, height } = this.panel;
    const [right, bottom] = [x + this.#drawing.width * scale, y + this.#drawing.height * scale];
    return (dy > 0 && bottom > height) || (dy < 0 && y < 0) || (dx > 0 && right > width) || (dx < 0 && x < 0);
  }

  #onDown = (event: PointerEvent): void => {
    if (event.button !== 0 && event.button !== 1) return;
    this.#pointers.set(event.pointerId, this.#at(event));
    if (this.#pointers.size === 1) this.#moved = 0;
  };

  #onMove = (event: PointerEvent): void => {
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) return;
    const now = this.#at(event);
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    const [other] = others;
    if (other !== undefined) {
      const span = (point: { x: number; y: number }): number => Math.hypot(point.x - other.x, point.y - other.y);
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      if (span(before) > 10) this.zoom(span(now) / span(before), middle);
      this.#moved = Infinity;
    } else {
      this.#moved += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
      if (this.#moved < 4) return;
      // Captured only now: clicks would not reach the states otherwise.
      if (!this.#svg.hasPointerCapture(event.pointerId)) this.#svg.setPointerCapture(event.pointerId);
      this.#svg.dataset["dragging"] = "";
      this.#wasMoved = true;
      this.show({ ...this.#view, x: this.#view.x + now.x - before.x, y: this.#view.y + now.y - before.y });
    }
    this.#pointers.set(event.pointerId, now);
  };

  #onUp = (event: PointerEvent): void => {
    this.#pointers.delete(event.pointerId);
    delete this.#svg.dataset["dragging"];
  };

  #onClick = (event: MouseEvent): void => {
    if (this.#moved >= 4) event.stopPropagation();
    this.#moved = 0;
  };
}
