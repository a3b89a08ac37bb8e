/* The controls: pointer, keyboard and form, all of which do nothing but change the view and draw it. */

const find = (id) => document.getElementById(id);
const tip = find("tip");
const TOLD = 200;

let pending = 0;
function redraw() {
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(draw);
}

/* -- violations -- */

function go(number) {
  const count = diagram.violations.length;
  if (!count) return;
  jump((number + count) % count);
  find("violation").value = String(view.violation);
  find("scope").value = view.events ? "events" : "all";
  find("event").value = view.events ? eventName([...view.events][0]) : "";
  tell();
  redraw();
}

if (diagram.violations.length) {
  diagram.violations.forEach((violation, number) => {
    const words = (number + 1).toLocaleString("en") + " of " + diagram.violations.length.toLocaleString("en") + " · " + violation.invariant + " · " + violation.events.map(eventName).join(", ");
    find("violation").append(new Option(words.length > 90 ? words.slice(0, 90) + "…" : words, String(number)));
  });
  find("violation").addEventListener("change", (event) => go(Number(event.target.value)));
  find("previous").addEventListener("click", () => go(view.violation - 1));
  find("next").addEventListener("click", () => go(view.violation + 1));
  for (const button of document.querySelectorAll("[data-violation]")) {
    if (button === canvas) continue;
    button.addEventListener("click", () => { go(Number(button.dataset.violation)); canvas.scrollIntoView({ block: "center" }); canvas.focus(); });
  }
}

/* -- events -- */

const places = new Map(diagram.events.map(([name], place) => [name, place]));

function choose() {
  const place = places.get(find("event").value.trim());
  find("event").setAttribute("aria-invalid", String(place === undefined && find("event").value !== ""));
  if (find("scope").value === "all") show(null);
  else if (view.violation >= 0 && find("scope").value === "events" && diagram.violations[view.violation].events[0] === place) show(new Set(diagram.violations[view.violation].events));
  else if (place !== undefined) show(find("scope").value === "chain" ? chainOf(place) : new Set([place]));
  else return;
  fit();
  tell();
  redraw();
}

function chooseEvent(place) {
  find("event").value = eventName(place);
  if (find("scope").value === "all") find("scope").value = "events";
  choose();
}

function suggest() {
  const typed = find("event").value.toLowerCase();
  const names = [];
  for (const name of places.keys()) {
    if (name.toLowerCase().includes(typed)) names.push(name);
    if (names.length === 30) break;
  }
  find("events").replaceChildren(...names.map((name) => new Option(name)));
}

find("event").addEventListener("input", () => {
  suggest();
  if (places.has(find("event").value.trim())) chooseEvent(places.get(find("event").value.trim()));
});
find("event").addEventListener("focus", suggest);
find("scope").addEventListener("change", choose);

function everything() {
  find("scope").value = "all";
  find("event").value = "";
  view.violation = -1;
  view.witness = new Set();
  show(null);
  tell();
  redraw();
}

/* List what is shown of the chosen events as text, beside the drawing. */
function tell() {
  const listed = find("told"), about = find("about");
  listed.hidden = about.hidden = !view.events;
  listed.replaceChildren();
  if (!view.events) return;
  const when = (mark) => (kindOf(mark) === "delivery" ? untilOf(mark) : mark[AT]);
  const marks = diagram.marks.map((mark, place) => [place, mark]).filter(([, mark]) => view.events.has(mark[EVENT]) && kindOf(mark) !== "waiting");
  marks.sort(([, one], [, other]) => when(one) - when(other));
  const names = [...view.events].slice(0, 5).map(eventName).join(", ");
  about.textContent = "What happened to " + names + (view.events.size > 5 ? " and " + (view.events.size - 5).toLocaleString("en") + " more" : "") + (marks.length > TOLD ? ": the first " + TOLD + " of " + marks.length.toLocaleString("en") + " steps" : "");
  for (const [place, mark] of marks.slice(0, TOLD)) {
    const item = document.createElement("li"), time = document.createElement("span");
    time.className = "mono";
    time.textContent = moment(when(mark));
    item.append(time, sentence(mark));
    if (view.witness.has(place)) item.className = "witness";
    listed.append(item);
  }
}

/* -- pointer -- */

function nearest(x, y) {
  let best = -1, least = 7;
  for (const place of drawn) {
    const away = distance(diagram.marks[place], x, y);
    if (away <= least) { best = place; least = away; }
  }
  return best;
}

function distance(mark, x, y) {
  const kind = kindOf(mark), left = xOf(mark[AT]), right = xOf(untilOf(mark));
  if (kind === "phase") return Infinity;
  if (kind === "fault") return y < AXIS && x >= left - 3 && x <= right + 3 ? 1 : Infinity;
  if (arrows[kind]) return toSegment(x, y, left, middleOf(mark[LANE]), right, middleOf(mark[TO]));
  if (signs[kind]) return Math.hypot(x - left, y - middleOf(mark[LANE])) - 2;
  const [top, height] = isState[mark[KIND]] ? [view.tops[mark[LANE]], heightOf(mark[LANE])] : band(mark);
  const inside = x >= left - 2 && x <= right + 2 && y >= top - 1 && y <= top + height + 1;
  return inside ? (isState[mark[KIND]] ? 6.5 : 3) : Infinity;
}

function toSegment(x, y, x1, y1, x2, y2) {
  const long = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const share = long ? Math.max(0, Math.min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / long)) : 0;
  return Math.hypot(x - x1 - share * (x2 - x1), y - y1 - share * (y2 - y1));
}

function pick(place, x, y) {
  if (place !== view.picked) { view.picked = place; redraw(); }
  tip.hidden = place < 0;
  if (place < 0) return;
  const mark = diagram.marks[place], end = mark[SPAN] ? " to " + moment(untilOf(mark)) : "";
  tip.textContent = moment(mark[AT]) + end + "\n" + sentence(mark);
  tip.style.left = Math.max(0, Math.min(x + 14, view.width - tip.offsetWidth - 6)) + "px";
  tip.style.top = Math.max(0, Math.min(y + overview.clientHeight + 16, view.height + overview.clientHeight - tip.offsetHeight - 4)) + "px";
}

/* One pointer drags, two pinch. A finger that goes up or down scrolls the page: the lanes have buttons. */
const held = new Map(); // the pointers that are down, by their id
let grip = null; // what was looked at when the last of them went down

function hold() {
  const [one, other] = [...held.values()];
  grip = one && { x: one.x, y: one.y, from: view.from, to: view.to, scroll: view.scroll, moved: Boolean(other) || Boolean(grip && grip.moved), gap: other && Math.abs(one.x - other.x) };
}

function drag() {
  const [one, other] = [...held.values()];
  if (other) {
    const middle = (one.x + other.x) / 2, factor = Math.max(grip.gap, 20) / Math.max(Math.abs(one.x - other.x), 20);
    view.from = grip.from; view.to = grip.to;
    zoom(factor, placeAt(middle));
    return;
  }
  const dx = one.x - grip.x, dy = one.y - grip.y;
  grip.moved = grip.moved || Math.hypot(dx, dy) > 4;
  const time = (dx / (view.width - GUTTER)) * (grip.to - grip.from);
  look(grip.from - time, grip.to - time);
  view.scroll = grip.scroll - dy;
}

canvas.addEventListener("pointerdown", (event) => {
  held.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  if (held.size === 1) grip = null;
  hold();
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (!held.size) return pick(nearest(event.offsetX, event.offsetY), event.offsetX, event.offsetY);
  if (!held.has(event.pointerId)) return;
  held.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  drag();
  redraw();
});
canvas.addEventListener("pointerup", (event) => {
  const click = held.delete(event.pointerId) && !held.size && !grip.moved;
  if (held.size) hold();
  if (!click) return;
  if (event.pointerType !== "mouse") return pick(nearest(event.offsetX, event.offsetY), event.offsetX, event.offsetY); // a finger does not hover
  if (view.picked >= 0 && diagram.marks[view.picked][EVENT] >= 0) chooseEvent(diagram.marks[view.picked][EVENT]);
});
canvas.addEventListener("pointercancel", (event) => { held.delete(event.pointerId); hold(); });
canvas.addEventListener("pointerleave", (event) => { if (!held.size && event.pointerType === "mouse") pick(-1); });
canvas.addEventListener("dblclick", (event) => { zoom(0.4, placeAt(event.offsetX)); redraw(); });
canvas.addEventListener("wheel", (event) => {
  if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * 0.002), placeAt(event.offsetX));
  else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) move((event.deltaX || event.deltaY) / view.width);
  else return; // the page scrolls
  event.preventDefault();
  redraw();
}, { passive: false });

function glance(event) {
  const middle = (event.offsetX / overview.clientWidth) * folded(diagram.end), half = (view.to - view.from) / 2;
  look(middle - half, middle + half);
  redraw();
}
overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); glance(event); });
overview.addEventListener("pointermove", (event) => { if (event.buttons) glance(event); });

/* -- keyboard -- */

function step(by) {
  const own = drawn.filter((place) => diagram.marks[place][LANE] >= 0 && kindOf(diagram.marks[place]) !== "waiting");
  if (!own.length) return;
  const now = own.indexOf(view.picked);
  const next = now < 0 ? (by > 0 ? 0 : own.length - 1) : (now + by + own.length) % own.length;
  const mark = diagram.marks[own[next]];
  pick(own[next], Math.max(GUTTER, xOf(untilOf(mark))), middleOf(mark[TO]));
}

const keys = {
  ArrowLeft: () => move(-0.15),
  ArrowRight: () => move(0.15),
  ArrowUp: () => { view.scroll -= Math.max(view.laneHeight, 40); },
  ArrowDown: () => { view.scroll += Math.max(view.laneHeight, 40); },
  "+": () => zoom(0.6),
  "=": () => zoom(0.6),
  "-": () => zoom(1 / 0.6),
  "[": () => { view.laneHeight = Math.max(2, view.laneHeight / 1.4); },
  "]": () => { view.laneHeight = Math.min(160, view.laneHeight * 1.4); },
  0: () => lookAt(0, diagram.end),
  f: fit,
  n: () => go(view.violation + 1),
  p: () => go(view.violation < 0 ? -1 : view.violation - 1),
  ".": () => step(1),
  ",": () => step(-1),
  Enter: () => { if (view.picked >= 0 && diagram.marks[view.picked][EVENT] >= 0) chooseEvent(diagram.marks[view.picked][EVENT]); },
  Escape: everything,
};

canvas.addEventListener("keydown", (event) => {
  const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
  redraw();
});

/* -- the lanes -- */

function page(by) {
  const [first, last] = lanesInView();
  view.scroll += by * Math.max(1, last - first - 1) * view.laneHeight;
  redraw();
}
find("above").addEventListener("click", () => page(-1));
find("below").addEventListener("click", () => page(1));

find("closer").addEventListener("click", () => { zoom(0.6); redraw(); });
find("farther").addEventListener("click", () => { zoom(1 / 0.6); redraw(); });
find("fit").addEventListener("click", () => { fit(); redraw(); });
find("fold").addEventListener("change", (event) => {
  const from = unfolded(view.from), to = unfolded(view.to);
  view.folding = event.target.checked;
  crease();
  look(folded(from), folded(to));
  redraw();
});
find("whole").addEventListener("click", () => { lookAt(0, diagram.end); redraw(); });

/* -- the legend, and the world around the page -- */

/* What each kind of mark looks like, as a drawing of 26 by 12, and in words; the legend has those that the run has. */
const looks = {
  published: ["delivery", "dot", "published"],
  duplicated: ["ink", "dots", "duplicated"],
  delivery: ["delivery", "arrow", "delivery"],
  again: ["delivery", "dashed", "delivery, not the first"],
  acknowledged: ["acknowledged", "arrow", "acknowledged"],
  rejected: ["unknown", "arrow", "rejected"],
  "handling ok": ["ok", "bar", "handled"],
  "handling failed": ["failed", "bar", "failed"],
  "handling unknown": ["unknown", "bar", "its consumer died"],
  "handling open": ["open", "bar", "still running"],
  parked: ["parked", "arrow", "parked"],
  waiting: ["waiting", "pale", "waiting for its leader"],
  released: ["released", "arrow", "released"],
  rescued: ["rescued", "arrow", "rescued"],
  refused: ["ink", "ring", "refused"],
  command: ["soft", "dotted", "Redis command, reply"],
  lease: ["lease", "band", "lease, at most until"],
  down: ["down", "band", "down, or not there yet"],
  paused: ["paused", "band", "paused"],
  unreachable: ["unreachable", "band", "Redis out of reach"],
  fault: ["failed", "top", "fault, on the time axis"],
  dropped: ["bad", "cross", "dropped, crashed or store lost"],
  "lease-lost": ["bad", "corner", "lease lost"],
  "dead-lettered": ["bad", "square", "dead-lettered"],
};
const drawings = {
  dot: '<circle cx="13" cy="6" r="3.5"/>',
  dots: '<circle cx="11" cy="3" r="2.5"/><circle cx="15" cy="9" r="2.5"/>',
  arrow: '<path class="stroke" d="M1 6H18"/><path d="M25 6L17 2V10Z"/>',
  dashed: '<path class="stroke" stroke-dasharray="5 3" d="M1 6H18"/><path d="M25 6L17 2V10Z"/>',
  dotted: '<path class="stroke" stroke-dasharray="2 3" d="M1 6H18"/><path d="M25 6L17 2V10Z"/>',
  bar: '<rect x="1" y="1" width="24" height="10"/>',
  pale: '<rect x="1" y="1" width="24" height="10" opacity=".3"/><rect class="stroke" x="1" y="1" width="24" height="10"/>',
  band: '<rect width="26" height="12"/>',
  faint: '<rect width="26" height="12" opacity=".2"/>',
  top: '<rect x="1" y="0" width="24" height="6"/>',
  ring: '<circle class="stroke" cx="13" cy="6" r="4"/><path class="stroke" d="M10 9L16 3"/>',
  cross: '<path class="stroke" d="M9 2L17 10M9 10L17 2"/>',
  corner: '<path d="M13 1L18 10H8Z"/>',
  square: '<rect x="9" y="2" width="8" height="8"/>',
  edge: '<rect class="stroke" x="2" y="2" width="22" height="8"/>',
};
const also = { absent: "down", crashed: "dropped", "store-lost": "dropped", reply: "command" };

function explain() {
  const there = new Set(diagram.marks.flatMap((mark) => {
    const kind = also[kindOf(mark)] || kindOf(mark);
    return kind === "delivery" && !isFirst(mark) ? ["again"] : [kind];
  }));
  const items = Object.entries(looks).filter(([kind]) => there.has(kind)).map(([, look]) => look);
  if (diagram.violations.length) items.push(["bad", "edge", "part of a violation"], ["halo", "bar", "what the shown violation rests on"]);
  if (run.likelihood.length) items.push(["bad", "faint", "how likely the violation was: the redder, the likelier"]);
  for (const [ink, drawing, words] of items) {
    const item = document.createElement("span");
    item.innerHTML = '<svg viewBox="0 0 26 12" aria-hidden="true">' + drawings[drawing] + "</svg>"; // of ours, no word of the run
    item.firstChild.style.color = "var(--" + ink + ")";
    item.append(words);
    find("legend").append(item);
  }
}

function repaint() {
  readColours();
  draw();
}

explain();
readColours();
if (diagram.violations.length) go(0);
else { crease(); begin(); }
draw();
new ResizeObserver(redraw).observe(canvas.parentElement);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
addEventListener("beforeprint", () => { document.documentElement.dataset.paper = ""; repaint(); });
addEventListener("afterprint", () => { delete document.documentElement.dataset.paper; repaint(); });
