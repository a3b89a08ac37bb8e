/* Which part of the run is looked at: a stretch of time, some lanes, some events. Nothing here draws. */

const GUTTER = 92, AXIS = 40, PINNED = 30, LEAST_SPAN = 20, IDLE = 2;
const canvas = document.getElementById("diagram");
const overview = document.getElementById("overview");

const view = {
  from: 0, // in folded time, as is `to`: microseconds, of which long idle stretches have lost most
  to: Math.max(diagram.end, 1),
  folding: true,
  folds: [], // the stretches that are folded: {at, until, width}, in order of time
  scroll: 0,
  laneHeight: 0,
  width: 0,
  height: 0,
  events: null, // a set of events to show, or null for all
  violation: -1,
  witness: new Set(),
  picked: -1, // the mark under the pointer, or stepped to by keyboard
  lanes: [], // the consumers' lanes that are shown, from top to bottom
  tops: [], // where each lane begins, by lane
  between: false, // whether Redis lies between two consumers rather than at the bottom
};

const REDIS = diagram.lanes.length - 1;
const bad = new Set(diagram.violations.flatMap((violation) => violation.marks));
const always = new Set(["phase", "fault", "absent", "down", "paused", "unreachable"]);
const isState = diagram.kinds.map((kind) => always.has(kind));

const wanted = (mark) => !view.events || (mark[EVENT] >= 0 ? view.events.has(mark[EVENT]) : isState[mark[KIND]]);
const isWire = diagram.kinds.map((kind) => kind === "command" || kind === "reply");
const isFolded = (at) => view.folds.some((fold) => at > fold.at && at < fold.until);
// what went over the wire is about no event: it is shown with any, on the lanes that are shown, but not in a fold
const beside = (mark) => view.events && isWire[mark[KIND]] && !isFolded(mark[AT]);
const xOf = (at) => GUTTER + ((folded(at) - view.from) / (view.to - view.from)) * (view.width - GUTTER);
const placeAt = (x) => view.from + ((x - GUTTER) / (view.width - GUTTER)) * (view.to - view.from);
const heightOf = (lane) => (lane === 0 || (lane === REDIS && !view.between) ? PINNED : view.laneHeight);
const middleOf = (lane) => view.tops[lane] + heightOf(lane) / 2;

/* Where a moment lies once idle stretches are folded, and the moment that lies at such a place. */
function folded(at) {
  let lost = 0;
  for (const fold of view.folds) {
    if (at <= fold.at) break;
    const inside = Math.min(at, fold.until) - fold.at;
    lost += inside * (1 - fold.width / (fold.until - fold.at));
  }
  return at - lost;
}

function unfolded(place) {
  let at = place;
  for (const fold of view.folds) {
    if (at <= fold.at) break;
    const inside = Math.min(at - fold.at, fold.width);
    at += inside * ((fold.until - fold.at) / fold.width - 1);
  }
  return at;
}

/* Fold the stretches in which nothing happens to what is shown, if each is much longer than all other time together:
   a follower that waits for a quarter of an hour is explained by the few milliseconds before and after. */
function crease() {
  view.folds = [];
  if (!view.folding) return;
  const times = new Set([0, diagram.end]);
  for (const mark of diagram.marks) {
    if (wanted(mark) && !isState[mark[KIND]]) { times.add(mark[AT]); times.add(untilOf(mark)); }
  }
  const ordered = [...times].sort((one, other) => one - other);
  const gaps = ordered.slice(1).map((until, before) => ({ at: ordered[before], until })).filter((gap) => gap.until > gap.at);
  gaps.sort((one, other) => other.until - other.at - (one.until - one.at));
  let rest = gaps.reduce((sum, gap) => sum + gap.until - gap.at, 0), count = 0, kept = rest;
  for (let place = 0; place < Math.min(6, gaps.length - 1); place++) {
    rest -= gaps[place].until - gaps[place].at;
    if (gaps[place].until - gaps[place].at > IDLE * rest) { count = place + 1; kept = rest; }
  }
  view.folds = gaps.slice(0, count).map((gap) => ({ ...gap, width: Math.max(1, kept * 0.08) }));
  view.folds.sort((one, other) => one.at - other.at);
}

/* Choose the lanes and their heights, after the events or the size have changed. */
function arrange() {
  const involved = new Set();
  if (view.events) {
    for (const mark of diagram.marks) {
      if (mark[EVENT] >= 0 && view.events.has(mark[EVENT])) { involved.add(mark[LANE]); involved.add(mark[TO]); }
    }
    if (view.violation >= 0) diagram.violations[view.violation].marks.forEach((place) => involved.add(diagram.marks[place][LANE]));
  }
  const all = diagram.lanes.map((_, lane) => lane).slice(1, REDIS);
  view.lanes = view.events ? all.filter((lane) => involved.has(lane)) : all;
  view.between = view.lanes.length === 2;
  const count = view.lanes.length + (view.between ? 1 : 0);
  const room = Math.max(180, Math.min(560, window.innerHeight * 0.62));
  if (!view.laneHeight) view.laneHeight = Math.max(count > 60 ? 3 : 16, Math.min(count > 4 ? 64 : 84, room / Math.max(count, 1)));
  const pinned = AXIS + PINNED + (view.between ? 0 : PINNED);
  view.height = Math.round(pinned + Math.min(Math.max(room, view.laneHeight), count * view.laneHeight));
  place(count, pinned);
}

/* Give every shown lane its place; a lane that is not shown has none. */
function place(count, pinned) {
  view.scroll = Math.max(0, Math.min(view.scroll, count * view.laneHeight - (view.height - pinned)));
  view.tops = new Array(diagram.lanes.length).fill(null);
  view.tops[0] = AXIS;
  const order = view.between ? [view.lanes[0], REDIS, view.lanes[1]] : view.lanes;
  order.forEach((lane, row) => { view.tops[lane] = AXIS + PINNED + row * view.laneHeight - view.scroll; });
  if (!view.between) view.tops[REDIS] = view.height - PINNED;
}

/* The first of the shown consumers' lanes that is in view, the one behind the last, and how many there are. */
function lanesInView() {
  const count = view.lanes.length, room = view.height - AXIS - PINNED - (view.between ? 0 : PINNED);
  const first = Math.ceil(view.scroll / view.laneHeight - 0.5);
  return [Math.max(0, first), Math.min(count, Math.floor((view.scroll + room) / view.laneHeight + 0.5)), count];
}

const shows = (lane) => lane < 0 || view.tops[lane] !== null;

/* The marks to draw, in order of time. */
function inView() {
  const found = [], from = unfolded(view.from), to = unfolded(view.to);
  for (let place = 0; place < diagram.marks.length; place++) {
    const mark = diagram.marks[place];
    if (mark[AT] > to) break;
    if (untilOf(mark) >= from && (wanted(mark) || beside(mark)) && shows(mark[LANE]) && shows(mark[TO])) found.push(place);
  }
  return found;
}

function look(from, to) {
  const end = Math.max(folded(diagram.end), 1), middle = (from + to) / 2;
  const span = Math.max(LEAST_SPAN, Math.min(to - from, end * 1.2));
  const low = -0.1 * end, high = end * 1.1;
  view.from = Math.max(low, Math.min(middle - span / 2, high - span));
  view.to = view.from + span;
}

const zoom = (factor, around = (view.from + view.to) / 2) => look(around - (around - view.from) * factor, around + (view.to - around) * factor);
const move = (share) => look(view.from + share * (view.to - view.from), view.to + share * (view.to - view.from));

/* Fit the stretch of time in which the chosen events have marks; without a choice, the whole run. */
function fit() {
  let from = Infinity, to = -Infinity;
  if (view.events) {
    for (const mark of diagram.marks) {
      if (view.events.has(mark[EVENT])) { from = Math.min(from, mark[AT]); to = Math.max(to, untilOf(mark)); }
    }
  }
  if (from > to) [from, to] = [0, Math.max(diagram.end, 1)];
  lookAt(from, to);
}

function lookAt(from, to) {
  const margin = Math.max((folded(to) - folded(from)) * 0.05, LEAST_SPAN);
  look(folded(from) - margin, folded(to) + margin);
}

/* Where to begin: the whole run or, if nine tenths of it happen in its first half, those. */
function begin() {
  const late = diagram.marks[Math.floor(diagram.marks.length * 0.9)], until = late ? late[AT] * 1.05 : 0;
  lookAt(0, until && folded(until) < folded(diagram.end) / 2 ? until : diagram.end);
}

function show(events) {
  view.events = events;
  view.laneHeight = 0;
  view.scroll = 0;
  view.picked = -1;
  crease();
  arrange();
}

function jump(number) {
  const violation = diagram.violations[number];
  view.violation = number;
  view.witness = new Set(violation.marks);
  show(violation.events.length ? new Set(violation.events) : null);
  lookAt(...violation.stretch);
}
