/* The drawing of the diagram: lanes, then what lasts, then arrows and signs, then what is wrong, then the labels. */

const pen = canvas.getContext("2d");
const overviewPen = overview.getContext("2d");
let colour = {};
let drawn = []; // the marks that were drawn last, for the pointer

const arrows = { delivery: "delivery", acknowledged: "acknowledged", rejected: "unknown", parked: "parked", released: "released", rescued: "rescued", command: "soft", reply: "soft" };
const signs = { published: "dot", duplicated: "dots", dropped: "cross", refused: "ring", "lease-lost": "corner", "dead-lettered": "square", "store-lost": "cross", crashed: "cross" };
const reds = new Set(["dropped", "lease-lost", "dead-lettered", "store-lost", "crashed"]);
const STEPS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7].flatMap((power) => [1, 2, 5].map((times) => times * power)).concat([6e7, 1.2e8, 3e8, 6e8, 1.2e9, 1.8e9, 3.6e9, 7.2e9, 2.16e10, 4.32e10, 8.64e10]).filter((step) => step !== 5e7);

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "panel", "ink", "soft", "rule", "bad", "ok", "failed", "unknown", "open", "released", "rescued", "parked", "delivery", "acknowledged", "waiting", "down", "paused", "unreachable", "lease", "halo"]) {
    colour[name] = style.getPropertyValue("--" + name).trim();
  }
}

function sized(target, context, width, height) {
  const ratio = window.devicePixelRatio || 1;
  target.width = Math.round(width * ratio);
  target.height = Math.round(height * ratio);
  target.style.height = height + "px";
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
  context.textBaseline = "middle";
}

function draw() {
  view.width = canvas.clientWidth || 900;
  forgetLabels();
  arrange();
  sized(canvas, pen, view.width, view.height);
  pen.fillStyle = colour.paper;
  pen.fillRect(0, 0, view.width, view.height);
  drawn = inView();
  const marks = drawn.map((place) => [place, diagram.marks[place]]);
  const few = marks.length <= 90, many = marks.length > 1500;
  const faint = many ? Math.max(0.03, Math.min(0.6, 600 / marks.length)) : 0;
  const [onPinned, onOthers] = [(mark) => isPinned(mark[LANE]), (mark) => !isPinned(mark[LANE])];
  const paintBars = (which) => { for (const [place, mark] of marks) if (which(mark)) drawBar(place, mark); };
  const paintArrows = () => { for (const [place, mark] of marks) if (arrows[kindOf(mark)]) drawArrow(place, mark, few, faint); };
  const paintSigns = (which) => { for (const [place, mark] of marks) if (signs[kindOf(mark)] && which(mark)) drawSign(place, mark, few, many); };
  const between = (paint) => clipped(AXIS + PINNED, view.height - (view.between ? 0 : PINNED), paint);
  const everywhere = (paint) => clipped(AXIS, view.height, paint);
  everywhere(() => {
    drawLanes();
    drawLikelihood();
    drawFolds();
  });
  between(() => { for (const [, mark] of marks) if (onOthers(mark)) drawState(mark); });
  everywhere(() => {
    for (const [, mark] of marks) if (onPinned(mark)) drawState(mark);
    paintBars(onPinned);
    if (many) paintArrows(); // under the bars, or nothing else is seen
  });
  between(() => paintBars(onOthers));
  if (!many) everywhere(paintArrows);
  between(() => paintSigns(onOthers));
  everywhere(() => {
    paintSigns(onPinned);
    drawPicked();
  });
  drawAxis(marks);
  clipped(AXIS, view.height, nameFolds);
  drawViolation();
  clipped(AXIS, view.height, placeLabels);
  nameLanes();
  drawThumb();
  drawOverview();
  report(marks.length);
}

function clipped(top, bottom, paint) {
  pen.save();
  pen.beginPath();
  pen.rect(GUTTER, top, view.width - GUTTER, bottom - top);
  pen.clip();
  paint();
  pen.restore();
}

const isPinned = (lane) => lane === 0 || (lane === REDIS && !view.between);
const onScreen = (lane) => isPinned(lane) || (view.tops[lane] + heightOf(lane) / 2 >= AXIS + PINNED && view.tops[lane] + heightOf(lane) / 2 <= view.height - (view.between ? 0 : PINNED));

function shownLanes() {
  const lanes = view.lanes.filter(onScreen);
  return view.between ? [0, lanes[0], REDIS, lanes[1]].filter((lane) => lane !== undefined) : [...lanes, 0, REDIS];
}

function drawLanes() {
  pen.strokeStyle = colour.rule;
  pen.lineWidth = 1;
  for (const lane of shownLanes()) {
    if (diagram.lanes[lane][1] !== "consumer") {
      pen.fillStyle = colour.panel;
      pen.fillRect(GUTTER, view.tops[lane], view.width, heightOf(lane));
    }
    if (heightOf(lane) < 6) continue;
    const y = Math.round(middleOf(lane)) + 0.5;
    pen.beginPath(); pen.moveTo(GUTTER, y); pen.lineTo(view.width, y); pen.stroke();
  }
}

/* How likely the violation was from each place on, where `causim why` has estimated it: the redder, the likelier. */
function drawLikelihood() {
  pen.fillStyle = colour.bad;
  for (const [from, until, share] of likelyStretches()) {
    const left = Math.max(xOf(from), GUTTER), right = Math.min(xOf(until), view.width);
    pen.globalAlpha = 0.2 * share;
    if (right > left) pen.fillRect(left, AXIS, right - left, view.height - AXIS);
  }
  pen.globalAlpha = 1;
}

const likelyStretches = () => run.likelihood.map(([at, share], place) => [at, place + 1 < run.likelihood.length ? run.likelihood[place + 1][0] : diagram.end, share]);

function stretch(mark, least) {
  const left = Math.max(xOf(mark[AT]), GUTTER - 20), right = Math.min(xOf(untilOf(mark)), view.width + 20);
  return [left, Math.max(right - left, least)];
}

function drawState(mark) {
  const kind = kindOf(mark);
  if (!["absent", "down", "paused", "unreachable", "lease"].includes(kind) || !onScreen(mark[LANE])) return;
  const [left, width] = stretch(mark, 1);
  pen.fillStyle = colour[kind === "absent" ? "down" : kind];
  const [top, height] = kind === "lease" ? band(mark) : [view.tops[mark[LANE]] + 1, heightOf(mark[LANE]) - 2];
  pen.fillRect(left, top, width, Math.max(height, 1));
  if (kind !== "lease" && width > 70 && height > 14) {
    pen.fillStyle = colour.soft;
    pen.fillText({ unreachable: "Redis out of reach", absent: "not there yet" }[kind] || kind, Math.max(left, GUTTER) + 5, top + 8);
  }
}

/* Where a bar lies in its lane: its row's share of the height. */
function band(mark) {
  const lane = mark[LANE], rows = diagram.lanes[lane][2];
  const each = (heightOf(lane) - Math.min(6, heightOf(lane) * 0.25)) / rows;
  const gap = Math.min(3, heightOf(lane) / 8);
  return [view.tops[lane] + gap + mark[ROW] * each, Math.max(each - (each > 4 ? 1 : 0), 1)];
}

function drawBar(place, mark) {
  const kind = kindOf(mark), isWait = kind === "waiting";
  if ((!isWait && !kind.startsWith("handling ")) || !onScreen(mark[LANE])) return;
  const [left, width] = stretch(mark, 1.5), [top, height] = band(mark);
  if (view.witness.has(place)) ring(left, top, width, height);
  pen.fillStyle = colour[isWait ? "waiting" : kind.slice(9)] || colour.ok;
  pen.globalAlpha = isWait ? (height > 4 ? 0.3 : 0.6) : 1;
  pen.fillRect(left, top, width, height);
  pen.globalAlpha = 1;
  if (!isWait) occupy(left, top, width, height);
  if (isWait && height > 4) { pen.strokeStyle = colour.waiting; pen.lineWidth = 1.5; pen.strokeRect(left + 1, top + 1, Math.max(width - 2, 1), height - 2); }
  if (bad.has(place)) {
    pen.strokeStyle = colour.bad; pen.lineWidth = view.witness.has(place) ? 2.5 : 1.5;
    pen.strokeRect(left, top, width, height);
  }
  const name = eventName(mark[EVENT]);
  if (height >= 13 && width > 7.5 * name.length + 6) {
    pen.fillStyle = isWait ? colour.ink : "#ffffff";
    if (kind === "handling failed" || kind === "handling open") pen.fillStyle = "#1b1f24";
    pen.fillText(name, Math.max(left, GUTTER) + 4, top + height / 2);
    if (isWait) occupy(Math.max(left, GUTTER) + 2, top + height / 2 - 8, 7.5 * name.length + 4, 16);
  }
}

function ring(left, top, width, height) {
  pen.fillStyle = colour.halo;
  pen.fillRect(left - 5, top - 5, width + 10, height + 10);
}

function drawArrow(place, mark, few, faint) {
  const kind = kindOf(mark), isBad = bad.has(place);
  if ((faint && !isBad && kind === "acknowledged") || !onScreen(mark[LANE]) || !onScreen(mark[TO])) return;
  const fromX = xOf(mark[AT]), toX = xOf(untilOf(mark)), fromY = middleOf(mark[LANE]), toY = middleOf(mark[TO]);
  if (view.witness.has(place)) line(fromX, fromY, toX, toY, colour.halo, 9);
  pen.globalAlpha = isBad ? 1 : faint ? faint : kind === "acknowledged" ? 0.9 : 0.8;
  pen.setLineDash(kind === "delivery" && isFirst(mark) ? [] : kind === "command" || kind === "reply" ? [2, 3] : kind === "delivery" ? [6, 3] : []);
  line(fromX, fromY, toX, toY, isBad ? colour.bad : colour[arrows[kind]], isBad ? 2.2 : 1.3);
  pen.setLineDash([]);
  if (!faint && heightOf(mark[TO]) > 8) head(fromX, fromY, toX, toY, isBad ? colour.bad : colour[arrows[kind]]);
  pen.globalAlpha = 1;
  if (few && ["delivery", "parked", "released", "rescued"].includes(kind)) {
    const words = eventName(mark[EVENT]) + (kind === "delivery" ? "" : " " + kind);
    const nearer = kind === "delivery" ? 0.5 : 0.3;
    label(words, fromX + (toX - fromX) * nearer + 5, fromY + (toY - fromY) * nearer, isBad ? colour.bad : colour.ink, isBad);
  }
}

function line(fromX, fromY, toX, toY, ink, width) {
  pen.strokeStyle = ink; pen.lineWidth = width;
  pen.beginPath(); pen.moveTo(fromX, fromY); pen.lineTo(toX, toY); pen.stroke();
}

function head(fromX, fromY, toX, toY, ink) {
  const angle = Math.atan2(toY - fromY, toX - fromX);
  pen.fillStyle = ink;
  pen.beginPath();
  pen.moveTo(toX, toY);
  for (const turn of [-0.35, 0.35]) pen.lineTo(toX - 8 * Math.cos(angle + turn), toY - 8 * Math.sin(angle + turn));
  pen.fill();
}

function drawSign(place, mark, few, many) {
  const kind = kindOf(mark), isBad = bad.has(place), isRed = isBad || reds.has(kind);
  if (many && !isRed) return;
  const x = xOf(mark[AT]), y = middleOf(mark[LANE]);
  if (view.witness.has(place)) ring(x - 4, y - 5, 8, 10);
  pen.fillStyle = pen.strokeStyle = isRed ? colour.bad : kind === "published" ? colour.delivery : colour.ink;
  pen.lineWidth = 1.8;
  shapes[signs[kind]](x, y);
  if (few && kind !== "published" && onScreen(mark[LANE])) label(kind + (mark[EVENT] >= 0 ? " " + eventName(mark[EVENT]) : ""), x + 8, y, pen.fillStyle, isBad);
}

function path(...points) {
  pen.beginPath();
  points.forEach(([x, y], number) => (number % 2 ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

function disc(x, y, radius) {
  pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.fill();
}

const shapes = {
  dot: (x, y) => disc(x, y, 3.5),
  dots: (x, y) => { disc(x - 2, y - 3, 2.5); disc(x + 2, y + 3, 2.5); },
  cross: (x, y) => path([x - 4, y - 4], [x + 4, y + 4], [x - 4, y + 4], [x + 4, y - 4]),
  ring: (x, y) => { pen.beginPath(); pen.arc(x, y, 4, 0, 7); pen.stroke(); path([x - 3, y + 3], [x + 3, y - 3]); },
  corner: (x, y) => { pen.beginPath(); pen.moveTo(x, y - 5); pen.lineTo(x + 5, y + 4); pen.lineTo(x - 5, y + 4); pen.fill(); },
  square: (x, y) => pen.fillRect(x - 4, y - 4, 8, 8),
};

function drawPicked() {
  const mark = diagram.marks[view.picked];
  if (!mark || mark[LANE] < 0 || !shows(mark[LANE]) || !shows(mark[TO])) return;
  const kind = kindOf(mark);
  pen.strokeStyle = colour.ink; pen.lineWidth = 2;
  if (arrows[kind]) line(xOf(mark[AT]), middleOf(mark[LANE]), xOf(untilOf(mark)), middleOf(mark[TO]), colour.ink, 2.5);
  else if (signs[kind]) { pen.beginPath(); pen.arc(xOf(mark[AT]), middleOf(mark[LANE]), 8, 0, 7); pen.stroke(); }
  else { const [left, width] = stretch(mark, 2), [top, height] = band(mark); pen.strokeRect(left - 2, top - 2, width + 4, height + 4); }
}

function drawAxis(marks) {
  pen.fillStyle = colour.panel;
  pen.fillRect(0, 0, view.width, AXIS);
  pen.fillStyle = colour.failed;
  clipped(0, AXIS, () => {
    for (const [, mark] of marks) {
      if (kindOf(mark) === "fault") { const [left, width] = stretch(mark, 3); pen.fillRect(left, AXIS - 9, width, 8); }
    }
  });
  drawTicks();
  pen.fillStyle = colour.soft;
  let free = GUTTER;
  for (const [, mark] of marks) {
    const kind = kindOf(mark);
    if (kind !== "phase" && (kind !== "fault" || marks.length > 400)) continue;
    const words = kind === "phase" ? "| " + wordsOf(mark) : wordsOf(mark), x = Math.max(xOf(mark[AT]), GUTTER);
    if (x < free || x + pen.measureText(words).width > view.width) continue;
    pen.fillText(words, x, 9);
    free = x + pen.measureText(words).width + 12;
  }
}

function drawTicks() {
  const raw = (view.to - view.from) / Math.max(3, (view.width - GUTTER) / 130);
  const step = STEPS.find((each) => each >= raw) || STEPS[STEPS.length - 1];
  const from = unfolded(view.from), to = unfolded(view.to);
  const [sign, size] = [["h", 3.6e9], ["min", 6e7], ["s", 1e6], ["ms", 1e3], ["µs", 1]].find(([, size]) => to >= 2 * size && step >= size / 1000 && (size < 6e7 || step % (size / 10) === 0)) || ["µs", 1];
  pen.strokeStyle = colour.soft; pen.lineWidth = 1; pen.fillStyle = colour.ink;
  const stops = [from, ...view.folds.flatMap((fold) => [fold.at, fold.until]), to];
  const taken = [[-Infinity, GUTTER]];
  for (const fold of view.folds) if (fold.until > from && fold.until < to) tick(fold.until);
  function tick(at) {
    const x = Math.round(xOf(at)) + 0.5;
    const words = Number((at / size).toPrecision(12)).toLocaleString("en", { maximumFractionDigits: 6 }) + " " + sign;
    const wide = pen.measureText(words).width;
    path([x, AXIS - 6], [x, AXIS]);
    if (taken.some(([left, right]) => x < right && x + wide + 8 > left) || x + wide + 4 > view.width) return;
    pen.fillText(words, x + 4, AXIS - 15);
    taken.push([x, x + wide + 12]);
  }
  for (let piece = 0; piece < stops.length; piece += 2) {
    for (let at = Math.ceil(Math.max(stops[piece], from, 0) / step) * step; at <= Math.min(stops[piece + 1], to); at += step) {
      tick(at);
    }
  }
}

/* Idle stretches that were folded: a column with jagged edges that says how much time it stands for. */
function drawFolds() {
  for (const fold of view.folds) {
    const left = xOf(fold.at), right = xOf(fold.until);
    pen.fillStyle = colour.panel;
    pen.fillRect(left, AXIS, right - left, view.height);
    pen.strokeStyle = colour.soft; pen.lineWidth = 1;
    for (const edge of [left, right]) {
      pen.beginPath();
      for (let y = AXIS; y < view.height; y += 6) pen.lineTo(edge + ((y / 6) % 2 < 1 ? -2 : 2), y);
      pen.stroke();
    }
  }
}

function nameFolds() {
  for (const fold of view.folds) {
    const left = Math.max(xOf(fold.at), GUTTER), right = Math.min(xOf(fold.until), view.width);
    const words = "… " + duration(fold.until - fold.at) + " …";
    const wide = pen.measureText(words).width + 4;
    if (right - left > wide) write(words, (left + right - wide) / 2 + 2, view.height - PINNED / 2, wide, colour.soft);
  }
}

function drawViolation() {
  const violation = diagram.violations[view.violation];
  if (!violation) return;
  const x = xOf(violation.at), at = folded(violation.at), when = " at " + moment(violation.at);
  const words = violation.invariant + (at > view.to ? when + " →" : at < view.from ? when + " ←" : "");
  const inside = x >= GUTTER && x <= view.width, wide = pen.measureText(words).width + 4;
  if (inside) { pen.setLineDash([5, 4]); line(x, AXIS, x, view.height, colour.bad, 1.5); pen.setLineDash([]); }
  const left = Math.max(GUTTER + 4, Math.min(inside ? x + 4 : x, view.width - wide - 8));
  write(words, left, AXIS + 9, wide, colour.bad);
}

function nameLanes() {
  pen.fillStyle = colour.paper;
  pen.fillRect(0, AXIS, GUTTER - 1, view.height - AXIS);
  pen.textAlign = "right";
  let free = -Infinity;
  for (const lane of shownLanes()) {
    const y = middleOf(lane), pinned = lane === 0 || lane === REDIS;
    if (!pinned && (y < AXIS + PINNED + 6 || (!view.between && y > view.height - PINNED - 6) || y < free)) continue;
    if (pinned) { pen.fillStyle = colour.paper; pen.fillRect(0, view.tops[lane], GUTTER - 1, heightOf(lane)); }
    pen.fillStyle = pinned ? colour.soft : colour.ink;
    pen.fillText(shortened(laneName(lane)), GUTTER - 8, y);
    if (!pinned) free = y + 14;
  }
  pen.textAlign = "left";
  pen.strokeStyle = colour.rule; pen.lineWidth = 1;
  pen.strokeRect(GUTTER - 0.5, AXIS - 0.5, view.width, view.height);
}

/* Where the lanes in view lie among all of them, and how many are above and below. */
function drawThumb() {
  const [first, last, count] = lanesInView(), bar = document.getElementById("lanes");
  bar.hidden = last - first >= count;
  if (bar.hidden) return;
  const top = AXIS + PINNED, room = view.height - PINNED - top;
  pen.fillStyle = colour.rule; pen.fillRect(view.width - 7, top, 7, room);
  pen.fillStyle = colour.soft; pen.fillRect(view.width - 7, top + (first / count) * room, 7, Math.max(12, ((last - first) / count) * room));
  bar.children[0].textContent = "▲ " + (first ? first.toLocaleString("en") + " more above" : "none above");
  bar.children[1].textContent = laneName(view.lanes[first]) + " to " + laneName(view.lanes[last - 1]) + ", " + (last - first).toLocaleString("en") + " of " + count.toLocaleString("en") + " consumers";
  bar.children[2].textContent = "▼ " + (last < count ? (count - last).toLocaleString("en") + " more below" : "none below");
  bar.children[0].disabled = !first;
  bar.children[2].disabled = last >= count;
}

function shortened(name) {
  if (pen.measureText(name).width <= GUTTER - 14) return name;
  let kept = name;
  while (kept && pen.measureText(kept + "…").width > GUTTER - 14) kept = kept.slice(0, -1);
  return kept + "…";
}

/* The strip above: how much happens when, the violations, and the stretch that is looked at. */
function drawOverview() {
  const width = overview.clientWidth || 900, height = 30, columns = Math.max(1, Math.floor(width / 2));
  sized(overview, overviewPen, width, height);
  const counts = new Array(columns).fill(0), end = Math.max(folded(diagram.end), 1);
  for (const mark of diagram.marks) counts[Math.min(columns - 1, Math.floor((folded(mark[AT]) / end) * columns))] += 1;
  const most = Math.max(...counts, 1);
  overviewPen.fillStyle = colour.panel; overviewPen.fillRect(0, 0, width, height);
  overviewPen.fillStyle = colour.delivery;
  counts.forEach((count, column) => { const tall = Math.sqrt(count / most) * (height - 4); overviewPen.fillRect(column * 2, height - tall, 2, tall); });
  overviewPen.strokeStyle = colour.bad; overviewPen.lineWidth = 1.5;
  overviewPen.beginPath();
  for (const [from, until, share] of likelyStretches()) {
    for (const at of [from, until]) overviewPen.lineTo((folded(at) / end) * width, height - 1 - share * (height - 3));
  }
  overviewPen.stroke();
  const left = Math.max(0, (view.from / end) * width), right = Math.min(width, (view.to / end) * width);
  overviewPen.strokeStyle = colour.ink; overviewPen.lineWidth = 2;
  overviewPen.strokeRect(Math.min(left, width - 5) + 1, 1, Math.max(right - left, 5) - 2, height - 2);
  overviewPen.fillStyle = colour.bad;
  for (const violation of diagram.violations) overviewPen.fillRect(Math.min((folded(violation.stretch[0]) / end) * width, width - 2), 0, 2, 9);
}

/* Describe the diagram as text, for screen readers and for tests that drive the page. */
function report(count) {
  const lanes = view.lanes.length, about = view.events ? view.events.size : diagram.events.length;
  const from = Math.round(Math.max(0, unfolded(view.from))), to = Math.round(unfolded(view.to));
  Object.assign(canvas.dataset, { from, to, marks: count, lanes, events: about, violation: view.violation, folds: view.folds.length });
  const words = moment(from) + " to " + moment(to) + ": " + count.toLocaleString("en") + " marks of " + about.toLocaleString("en") + (about === 1 ? " event" : " events") + " on " + lanes.toLocaleString("en") + (lanes === 1 ? " consumer" : " consumers");
  const picked = diagram.marks[view.picked];
  document.getElementById("status").textContent = (picked ? moment(picked[AT]) + ": " + sentence(picked) + " — " : "") + words;
}
