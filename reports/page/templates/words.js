"use strict";
/* What the page was given, and how it is said: the data, durations, and each mark as a sentence. All of it is text. */

const run = JSON.parse(document.getElementById("run").textContent);
const diagram = run.diagram;
const [KIND, AT, SPAN, LANE, TO, EVENT, ROW, WORDS] = [0, 1, 2, 3, 4, 5, 6, 7];

const kindOf = (mark) => diagram.kinds[mark[KIND]];
const wordsOf = (mark) => diagram.words[mark[WORDS]];
const isFirst = (mark) => /^attempt 1\b/.test(wordsOf(mark));
const untilOf = (mark) => mark[AT] + mark[SPAN];
const laneName = (lane) => (lane < 0 ? "" : diagram.lanes[lane][0]);
const eventName = (place) => (place < 0 ? "" : diagram.events[place][0]);

function duration(micros) {
  const units = [["h", 3.6e9], ["min", 6e7], ["s", 1e6], ["ms", 1e3], ["µs", 1]];
  if (!micros) return "0 s";
  let place = units.findIndex(([, size]) => Math.abs(micros) >= 0.9995 * size);
  if (place < 0) place = 4;
  if (place < 2 && Math.abs(micros) < 2 * units[place][1]) place += 1;
  return Number((micros / units[place][1]).toPrecision(3)).toLocaleString("en") + " " + units[place][0];
}

function moment(micros) {
  return (micros / 1e6).toLocaleString("en", { maximumFractionDigits: 6 }) + " s";
}

const say = {
  published: (m, e) => e + " was published" + followsOf(m[EVENT]),
  duplicated: (m, e) => "the broker will deliver " + e + " once more",
  dropped: (m, e) => "the broker lost a delivery of " + e,
  delivery: (m, e) => e + " was delivered to " + laneName(m[TO]) + " (" + wordsOf(m) + "), " + duration(m[SPAN]) + " on the way",
  acknowledged: (m, e) => laneName(m[LANE]) + " acknowledged " + e,
  rejected: (m, e) => laneName(m[LANE]) + " rejected " + e,
  waiting: (m, e) => e + " waited for its leader for " + duration(m[SPAN]),
  parked: (m, e) => e + " was parked",
  released: (m, e) => e + " was released by its leader, to " + laneName(m[TO]),
  rescued: (m, e) => e + " was rescued by the sweep, to " + laneName(m[TO]),
  lease: (m, e) => "the lease on " + e + " may still be held, at most for " + duration(m[SPAN]),
  absent: (m) => laneName(m[LANE]) + " was not there yet",
  down: (m) => laneName(m[LANE]) + " was down for " + duration(m[SPAN]),
  paused: (m) => laneName(m[LANE]) + " was paused for " + duration(m[SPAN]),
  unreachable: (m) => "Redis was out of reach for " + duration(m[SPAN]),
  fault: (m) => wordsOf(m) + (m[SPAN] ? ", for " + duration(m[SPAN]) : ""),
  phase: (m) => "the " + wordsOf(m) + " phase begins",
};

function followsOf(place) {
  const leader = diagram.events[place][1];
  return leader < 0 ? "" : "; it follows " + eventName(leader);
}

function sentence(mark) {
  const kind = kindOf(mark), event = eventName(mark[EVENT]);
  if (kind.startsWith("handling ")) {
    const outcome = { ok: "handled", failed: "failed to handle", unknown: "died handling", open: "was still handling" };
    const via = wordsOf(mark) ? ", " + wordsOf(mark) : "";
    return laneName(mark[LANE]) + " " + (outcome[kind.slice(9)] || kind) + " " + event + " for " + duration(mark[SPAN]) + via;
  }
  return say[kind] ? say[kind](mark, event) : wordsOf(mark) || kind + " " + event;
}

/* The events of a chain: the event, all its leaders, and everything that follows any of them. */
function chainOf(place) {
  const seen = new Set([place]);
  for (let leader = diagram.events[place][1]; leader >= 0 && !seen.has(leader); leader = diagram.events[leader][1]) seen.add(leader);
  const followers = new Map();
  diagram.events.forEach(([, leader], follower) => {
    if (leader >= 0) followers.set(leader, (followers.get(leader) || []).concat(follower));
  });
  const open = [...seen];
  while (open.length) {
    for (const follower of followers.get(open.pop()) || []) {
      if (!seen.has(follower)) { seen.add(follower); open.push(follower); }
    }
  }
  return seen;
}
