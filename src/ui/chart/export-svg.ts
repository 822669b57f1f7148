/** The drawing as a file: a copy with its styles written into it, since a file has no style sheet. */

const PROPERTIES = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-opacity",
  "stroke-linecap",
  "stroke-linejoin",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
  "display",
  "visibility",
];

export function svgText(svg: SVGSVGElement, size: { readonly width: number; readonly height: number }): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  inline(svg, copy);
  const world = copy.querySelector("g");
  world?.removeAttribute("transform");
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  copy.setAttribute("width", String(size.width));
  copy.setAttribute("height", String(size.height));
  const background = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  background.setAttribute("width", "100%");
  background.setAttribute("height", "100%");
  background.setAttribute("fill", getComputedStyle(document.body).backgroundColor);
  copy.prepend(background);
  return new XMLSerializer().serializeToString(copy);
}

function inline(from: Element, to: Element): void {
  const style = getComputedStyle(from);
  if (style.display === "none" || style.visibility === "hidden" || style.opacity === "0") {
    to.remove();
    return;
  }
  for (const property of PROPERTIES) {
    const value = style.getPropertyValue(property);
    if (value !== "" && value !== "none" && value !== "normal") to.setAttribute(property, value);
    else if (property === "fill" && value === "none") to.setAttribute(property, value);
  }
  for (const name of ["tabindex", "class", "role"]) to.removeAttribute(name);
  const children = [...to.children];
  for (const [index, child] of [...from.children].entries()) {
    const copied = children[index];
    if (copied !== undefined) inline(child, copied);
  }
}

export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
