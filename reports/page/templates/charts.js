/* Reading values off the charts: under the pointer, or at a click in the diagram too. */

const written = { s: (value) => duration(value * 1e6), count: (value) => value.toLocaleString("en") };

function columnAt(svg, event) {
  const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
  const left = Number(svg.dataset.left) * scale;
  const share = Math.max(0, Math.min(1, (event.clientX - box.left - left) / (box.width - left)));
  return Math.round(share * (run.grid.length - 1));
}

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
