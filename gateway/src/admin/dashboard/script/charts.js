// What was: requests a second, tier by tier.

// --- charts ---

const columns = (width) => {
  // Whole seconds a column, so that columns stay what they are while they move to the left.
  const per = Math.max(1, Math.ceil(state.span / Math.max(40, width / 2)));
  return { per, count: Math.ceil(state.span / per) };
};
function buckets(at, { per, count }) {
  const last = Math.floor((state.seconds.at(-1)?.n ?? 0) / per);
  const all = Array.from({ length: count }, () => ({ time: 0, offered: 0, admitted: 0, left: 0, refused: new Map() }));
  for (const one of state.seconds) {
    const bucket = all[count - 1 - (last - Math.floor(one.n / per))];
    const tier = one.tiers[at];
    if (!bucket || !tier) continue;
    bucket.time += one.dt / 1000;
    bucket.t = one.t;
    bucket.offered += tier.offered;
    bucket.admitted += tier.admitted;
    bucket.left += tier.abandoned;
    for (const [reason, many] of tier.refused) bucket.refused.set(reason, (bucket.refused.get(reason) ?? 0) + many);
  }
  return all;
}
function nice(x) {
  if (x <= 0) return 10;
  const unit = 10 ** Math.floor(Math.log10(x));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((it) => it * unit).find((it) => it >= x * 1.02) ?? 10 * unit;
}
function charts() {
  const rest = state.names.length;
  const isLost = state.seconds.some((one) => one.tiers[rest]?.offered);
  const rows = [...state.names.map((_, at) => at), ...(isLost ? [rest] : [])];
  list($("charts"), [...rows, "legend"], (at) => at, (at) => (at === "legend" ? make("div.legend") : figure(at)), (node, at) => {
    if (at === "legend") return legend(node);
    const of = (what) => num(rate(5, ofTier(at, what)));
    const [tier, offered, admitted, refused] = node.querySelectorAll("figcaption b");
    put(tier, state.names[at] ?? "no route");
    put(offered, of((it) => it.offered));
    put(admitted, of((it) => it.admitted));
    put(refused, of(refusedIn));
    set(part(node, "canvas"), "aria-label", `${tier.textContent}: requests a second, offered, let in and refused, over time`);
    plot(part(node, "canvas"), at);
    node.update();
  });
}
function figure(at) {
  const canvas = make("canvas", { tabindex: 0, role: "img" });
  const output = make("output");
  const caption = make("figcaption", {}, make("b"),
    ...["offered", "let in", "refused"].map((word) => make("span", {}, word + " ", make("b"), "/s")));
  const node = make("figure.chart", {}, caption, canvas, output);
  const move = (to) => {
    state.cursor = to === null ? null : { at, ago: Math.max(0, Math.min(state.span - 1, to)) };
    charts();
  };
  canvas.addEventListener("pointermove", (event) => move(Math.round((1 - (event.offsetX - LEFT) / (canvas.clientWidth - LEFT)) * state.span)));
  canvas.addEventListener("pointerleave", () => move(null));
  canvas.addEventListener("blur", () => move(null));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
    if (event.key === "Escape") move(null);
    if (!step) return;
    event.preventDefault();
    move((state.cursor?.ago ?? -1) + step * (event.shiftKey ? 10 : 1));
  });
  node.update = () => {
    const cursor = state.cursor?.at === at ? state.cursor : null;
    const one = cursor && state.seconds.at(-1 - cursor.ago);
    const tier = one?.tiers[at];
    if (!tier) return put(output, "");
    const parts = [...tier.refused].sort((a, b) => b[1] - a[1]).map(([reason, many]) => `${name(reason)} ${num(many)}`);
    put(output, `${clock(one.t)}: offered ${num(tier.offered)}, let in ${num(tier.admitted)}` + (parts.length ? "; " + parts.join(", ") : "") +
      (tier.abandoned ? `; left ${num(tier.abandoned)}` : "") + (tier.failed ? `; failed ${num(tier.failed)}` : ""));
  };
  return node;
}
const LEFT = 38;
function plot(canvas, at) {
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  if (!w) return;
  const pen = sheet(canvas);
  const grid = columns(w - LEFT);
  const all = buckets(at, grid);
  const top = nice(Math.max(...all.map((it) => (it.time ? it.offered / it.time : 0))));
  const [y0, y1] = [h - 17, 6];
  const x = (index) => LEFT + ((w - LEFT) * index) / grid.count;
  const y = (value) => y0 - (value / top) * (y0 - y1);

  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = ink.dim;
  pen.strokeStyle = ink.line;
  pen.lineWidth = 1;
  pen.textAlign = "right";
  for (const value of [0, top / 2, top]) {
    pen.beginPath();
    pen.moveTo(LEFT, Math.round(y(value)) + 0.5);
    pen.lineTo(w, Math.round(y(value)) + 0.5);
    pen.stroke();
    pen.fillText(num(value), LEFT - 6, y(value) + 4);
  }
  for (let part = 0; part <= 5; part++) {
    if (w < 500 && part % 5) continue;
    const ago = Math.round(state.span * (1 - part / 5));
    pen.textAlign = part === 0 ? "left" : part === 5 ? "right" : "center";
    pen.fillText(ago === 0 ? "now" : ago % 60 ? `−${ago} s` : `−${ago / 60} min`, LEFT + ((w - LEFT) * part) / 5, h - 3);
  }

  const under = new Array(grid.count).fill(0);
  const layer = (fillStyle, value) => {
    pen.beginPath();
    let any = false;
    all.forEach((it, index) => {
      const many = it.time ? value(it) / it.time : 0;
      if (many <= 0) return;
      any = true;
      const [a, b] = [y(under[index]), y(under[index] + many)];
      pen.rect(x(index), b, x(index + 1) - x(index) + 0.3, a - b);
      under[index] += many;
    });
    if (!any) return;
    pen.fillStyle = fillStyle;
    pen.fill();
  };
  layer(ink.water, (it) => it.admitted);
  LOOKS.forEach((_, look) => layer(filling(pen, look), (it) => {
    let many = 0;
    for (const [reason, count] of it.refused) if (looksLike(name(reason)) === look) many += count;
    return many;
  }));
  layer(ink.line, (it) => it.left);

  pen.strokeStyle = ink.ink;
  pen.lineWidth = 1.4;
  pen.beginPath();
  let down = false;
  all.forEach((it, index) => {
    if (!it.time) return (down = false);
    const value = y(it.offered / it.time);
    pen[down ? "lineTo" : "moveTo"](x(index), value);
    pen.lineTo(x(index + 1), value);
    down = true;
  });
  pen.stroke();

  if (state.cursor) {
    const cross = w - ((w - LEFT) * (state.cursor.ago + 0.5)) / state.span;
    pen.fillStyle = ink.bad;
    pen.fillRect(cross - 0.75, y1 - 4, 1.5, y0 - y1 + 4);
  }
}
function legend(node) {
  const seen = new Set();
  for (const one of state.seconds.slice(-state.span)) for (const tier of one.tiers) for (const reason of tier?.refused.keys() ?? []) seen.add(looksLike(name(reason)));
  const rows = [["water", "let in"], ...[...seen].sort().map((look) => [look, WORDS[look]]), ["left", "left of themselves"], ["line", "line: offered"]];
  list(node, rows, (row) => row[0], ([look, word]) => make("span", {}, look === "line" ? null : swatch(look), word), () => {});
}
