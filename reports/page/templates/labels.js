/* Labels: noted while the marks are drawn, and written after all of them, where no bar and no other label is. */

let labels = [];
let taken = []; // what a label must not lie on: left, top, right, bottom
const LABEL = 16; // the height of a label

function forgetLabels() {
  labels = [];
  taken = [];
}

function occupy(left, top, width, height) {
  taken.push([left, top, left + width, top + height]);
}

/* Note a label at the right of a place. One that does not fit there goes near it, or is left out unless it must be read. */
function label(words, x, y, ink, must) {
  labels.push({ words, x, y, ink, must });
}

function placeLabels() {
  for (const each of labels.sort((a, b) => Number(b.must) - Number(a.must))) {
    const wide = pen.measureText(each.words).width + 4;
    const left = (x) => Math.max(Math.min(x, view.width - wide), GUTTER + 4);
    const places = [0, -1, 1, -2, 2, -3, 3].flatMap((rows) => [each.x, each.x - wide - 14].map((x) => [left(x), each.y + rows * (LABEL + 1)]));
    const found = places.find(([x, y]) => isFree(x - 2, y - LABEL / 2, wide)) || (each.must ? places[0] : null);
    if (found) write(each.words, ...found, wide, each.ink);
  }
}

function isFree(x, y, wide) {
  const inside = y >= AXIS && y + LABEL <= view.height;
  return inside && !taken.some(([left, top, right, bottom]) => x < right && x + wide > left && y < bottom && y + LABEL > top);
}

function write(words, x, y, wide, ink) {
  pen.fillStyle = colour.paper; pen.globalAlpha = 0.8;
  pen.fillRect(x - 2, y - LABEL / 2, wide, LABEL);
  pen.globalAlpha = 1; pen.fillStyle = ink;
  pen.fillText(words, x, y);
  occupy(x - 2, y - LABEL / 2, wide, LABEL);
}
