// Colours and patterns, and the order in which the parts are drawn, once a second.

// --- drawing ---

const ink = {};
let tiles = [];
function colours() {
  const probe = make("i");
  document.body.append(probe);
  for (const name of "ink dim line water bad card r0 r1 r2 r3 r4 r5 r6 r7".split(" ")) {
    probe.style.color = `var(--${name})`;
    ink[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  tiles = LOOKS.map((draws, at) => {
    const tile = make("canvas", { width: 16, height: 16 });
    const pen = tile.getContext("2d");
    pen.scale(2, 2);
    pen.fillStyle = ink["r" + at];
    pen.fillRect(0, 0, 8, 8);
    pen.strokeStyle = pen.fillStyle = ink.card;
    pen.lineWidth = 1.4;
    pen.globalAlpha = 0.75;
    draws(pen);
    return tile;
  });
  for (const swatch of document.querySelectorAll("canvas.swatch")) paint(swatch);
}
const strokes = (...lines) => (pen) => {
  pen.beginPath();
  for (const [a, b, c, d] of lines) {
    pen.moveTo(a, b);
    pen.lineTo(c, d);
  }
  pen.stroke();
};
// A pattern for each reason, since not every eye tells the colours apart. The last one is all others'.
const LOOKS = [
  strokes([-2, 2, 2, -2], [-2, 10, 10, -2], [6, 10, 10, 6]),
  (pen) => { for (const [x, y] of [[2, 2], [6, 6]]) { pen.beginPath(); pen.arc(x, y, 1.2, 0, 7); pen.fill(); } },
  strokes([-2, -2, 10, 10], [-2, 6, 2, 10], [6, -2, 10, 2]),
  strokes([2, 0, 2, 8], [6, 0, 6, 8]),
  strokes([0, 2, 8, 2], [0, 6, 8, 6]),
  strokes([0, 4, 8, 4], [4, 0, 4, 8]),
  strokes([0, 4, 8, 4]),
  () => {},
];
const WORDS = ["watermark", "buffer_full", "queue_timeout", "deadline", "rates and limits", "no grant", "sold out", "others"];
const ALIKE = ["watermark", "buffer_full", "queue_timeout", "deadline", "rate key_limit tenant_limit key_share", "no_grant grant_required call_limit", "sold_out reserved_out"]
  .map((names) => names.split(" "));
function looksLike(name) {
  const look = ALIKE.findIndex((names) => names.includes(name));
  return look < 0 ? LOOKS.length - 1 : look;
}
// As it is filled on `pen`, whatever the scale of that is.
function filling(pen, at) {
  const pattern = pen.createPattern(tiles[at], "repeat");
  pattern.setTransform(new DOMMatrix().scale(0.5));
  return pattern;
}
function swatch(at) {
  const node = make("canvas.swatch", { "data-look": at, "aria-hidden": "true" });
  paint(node);
  return node;
}
function paint(node) {
  const pen = sheet(node, 22, 16);
  const look = node.dataset.look;
  pen.fillStyle = look === "water" ? ink.water : look === "left" ? ink.line : filling(pen, Number(look));
  pen.fillRect(0, 0, 22, 16);
}
// A canvas in pixels of the page.
function sheet(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const scale = Math.min(devicePixelRatio || 1, 3);
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  return pen;
}

function draw() {
  if (!state.told || document.hidden) return;
  if (!tiles.length) colours();
  verdict();
  pools();
  reasons();
  charts();
  upstreams();
  sales();
  times();
  budgets();
  missed();
  live();
  const { connections, memory } = state.told;
  put($("process"), `${num(connections.open)} of ${num(connections.limit)} connections · ` +
    `${bytes(memory.used)} ${memory.limit ? `of ${bytes(memory.limit)} ` : ""}in memory · you are ${state.role === "operator" ? "an operator" : "a viewer"} · keys: ?`);
}
