/* Reading values off the charts: under the pointer, or at a click in the diagram too. */

const written = { s: (value) => duration(value * 1e6), count: (value) => value.toLocaleString("en"), share: (value) => Math.round(100 * value) + " %" };

function columnAt(svg, event) {
  const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
  const left = Number(svg.dataset.left) * scale;
  const share = Math.max(0, Math.min(1, (event.clientX - box.left - left) / (box.width - left)));
  return Math.round(share * (run.grid.length - 1));
}

/* One unit of a chart is one pixel, however wide the page is: letters keep their size, and labels without room go. */
const ALONG = ["x", "x1", "x2", "cx"];
const drawnWide = [...document.querySelectorAll("figure > svg.chart")].map((svg) => ({
  svg, wide: svg.viewBox.baseVal.width, high: svg.viewBox.baseVal.height, left: Number(svg.dataset.left || 0),
  parts: [...svg.querySelectorAll("*")].map((part) => ({
    part, width: part.getAttribute("width"), path: part.getAttribute("d"),
    along: ALONG.filter((name) => part.hasAttribute(name)).map((name) => [name, Number(part.getAttribute(name))]),
  })),
}));

function fitCharts() {
  for (const { svg, wide, high, left, parts } of drawnWide) {
    const width = Math.max(svg.clientWidth, 200), share = (width - left) / (wide - left);
    const at = (x) => (x < left ? x : left + (x - left) * share);
    svg.setAttribute("viewBox", "0 0 " + width + " " + high);
    for (const { part, width: own, path, along } of parts) {
      for (const [name, value] of along) part.setAttribute(name, at(value));
      if (own) part.setAttribute("width", Math.max(2, Number(own) * share));
      if (path) part.setAttribute("d", path.replace(/([MH])([-\d.]+)/g, (_, letter, x) => letter + at(Number(x))));
    }
    const placed = [];
    for (const text of svg.querySelectorAll("text")) {
      text.style.visibility = "visible";
      const box = text.getBBox(), fold = text.classList.contains("folded") && text.previousElementSibling;
      const over = (other) => box.x < other.x + other.width + 4 && other.x < box.x + box.width + 4 && box.y < other.y + other.height && other.y < box.y + box.height;
      if (placed.some(over) || (fold && box.width > fold.width.baseVal.value)) text.style.visibility = "hidden";
      else placed.push(box);
    }
  }
}

fitCharts();
new ResizeObserver(fitCharts).observe(document.querySelector("main"));

for (const svg of document.querySelectorAll("[data-chart]")) {
  const chart = run.charts[Number(svg.dataset.chart)], cursor = svg.querySelector(".cursor");
  const read = document.querySelector('[data-read="' + svg.dataset.chart + '"]');
  svg.addEventListener("pointermove", (event) => {
    const column = columnAt(svg, event), left = Number(svg.dataset.left);
    const x = left + (column / (run.grid.length - 1)) * (svg.viewBox.baseVal.width - left);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.style.visibility = "visible";
    const told = chart.lines.filter(([, values]) => values[column] !== null).map(([name, values]) => name + " " + written[chart.unit](values[column]));
    read.textContent = [moment(run.grid[column] * 1e6), ...told].join(" · ");
  });
  svg.addEventListener("pointerleave", () => { cursor.style.visibility = "hidden"; read.textContent = ""; });
  svg.addEventListener("click", (event) => {
    const at = folded(run.grid[columnAt(svg, event)] * 1e6), half = (view.to - view.from) / 2;
    look(at - half, at + half);
    redraw();
  });
}
