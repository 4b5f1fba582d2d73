// How those are served who are let in.

// --- checkouts ---

function sales() {
  const { told } = state;
  const rows = Object.entries(told.journeys);
  $("journeys").hidden = !rows.length;
  if (!rows.length) return;
  list($("sales"), [...rows, "stock"], (row) => row[0], (row) => (row === "stock" ? make("div.sale", {}, make("p"), make("div.skus")) :
    make("div.sale", {}, make("h3", {}, row[0]), make("dl.facts"), make("canvas", { role: "img", "aria-label": "completed checkouts over ten minutes" }))), (node, row) => {
    if (row === "stock") return stock(node);
    const it = row[1];
    const facts = [
      ["completed", num(it.finished), `${num(rate(10, (one) => one.finished))}/s`],
      ["grants given", num(it.given), `${num(rate(10, (one) => one.given))}/s of ${num(it.rate)}/s planned`],
      ["on their way", num(it.in_progress), `${num(it.wanted_in_progress)} wanted`],
      ["ended by the service", num(it.ended), ""],
      ["holders wait", ms(it.holders_wait_ms), "for a permit"],
      ["calls a grant", num(it.calls_per_grant), `${num(it.capacity)} calls/s capacity`],
    ];
    list(part(node, ".facts"), facts, (fact) => fact[0], (fact) => make("div", {}, make("dt", {}, fact[0]), make("dd", {}, "", make("small"))), (one, fact) => {
      const dd = one.lastChild;
      if (!dd.kept) dd.kept = dd.insertBefore(document.createTextNode(""), dd.firstChild);
      dd.kept.data = fact[1];
      put(part(dd, "small"), fact[2]);
    });
    strip(part(node, "canvas"));
  });
}
function stock(node) {
  const { stock: counts, skus } = state.told;
  const out = counts.sold_out + counts.reserved_out;
  put(node.firstChild, out ? `${num(counts.sold_out)} SKUs sold out, ${num(counts.reserved_out)} reserved out, ${num(counts.low)} low` : counts.low ? `No SKU is out, ${num(counts.low)} are low.` : "No SKU is out.");
  const names = (skus ?? []).map(([sku, name]) => sku + (name === "sold_out" ? "" : " (reserved)"));
  if (out > names.length && names.length) names.push(`and ${num(out - names.length)} more`);
  list(part(node, ".skus"), names, (it) => it, (it) => make("span.tag.calm", {}, it), () => {});
}
// Completed checkouts a second, five seconds a column.
function strip(canvas) {
  const pen = sheet(canvas);
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  const last = Math.floor((state.seconds.at(-1)?.n ?? 0) / 5);
  const all = new Array(120).fill(0);
  for (const one of state.seconds) {
    const at = 119 - (last - Math.floor(one.n / 5));
    if (at >= 0) all[at] += one.finished / 5;
  }
  const top = nice(Math.max(...all));
  pen.fillStyle = ink.water;
  all.forEach((value, at) => pen.fillRect((w * at) / 120, h - 1 - (value / top) * (h - 14), w / 120 - 0.6, (value / top) * (h - 14)));
  pen.fillStyle = ink.line;
  pen.fillRect(0, h - 1, w, 1);
  pen.fillStyle = ink.dim;
  pen.font = "11px system-ui, sans-serif";
  pen.fillText(`${num(top)}/s, ten minutes`, 0, 9);
}

// --- latency ---

// From a tenth of a millisecond to thirty seconds, by powers of ten.
const along = (x) => Math.max(0, Math.min(100, ((Math.log10(Math.max(x, 0.1)) + 1) / 5.477) * 100));
function times() {
  list($("times"), state.names, (it) => it, (tier) => {
    const pattern = make("pattern", { id: "hatch", width: 4, height: 4, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, make("line.q", { x1: 1, x2: 1, y1: 0, y2: 4, "stroke-width": 1.6 }));
    const ticks = [1, 10, 100, 1000, 10000].map((at) => make("line.grid", { x1: along(at) + "%", x2: along(at) + "%", y1: 0, y2: 36 }));
    const marks = [[1, "1 ms"], [10, "10"], [100, "100"], [1000, "1 s"], [10000, "10"]].map(([at, word]) => make("text", { x: along(at) + "%", y: 48 }, word));
    const cells = ["", "p50", "p99", "p99.9", "wait", "", "", "", "success", "", "", ""].map((text, at) => make(at % 4 ? (at < 4 ? "small" : "b") : "span.l", {}, text));
    return make("div.time", {}, make("header", {}, make("h3", {}, tier), make("span.dim")),
      make("svg", { "aria-hidden": "true" }, make("defs", {}, pattern), ...ticks, ...marks,
        make("rect.q", { y: 5, height: 9, rx: 2 }), make("rect.s", { y: 19, height: 11, rx: 2 }), make("line.goal", { y1: 0, y2: 36 })),
      make("div.nums", {}, ...cells));
  }, (node, tier) => {
    const told = window10(tier);
    const goal = state.told.objectives?.[tier]?.latency_ms;
    const is10 = told && told === state.told.latency[tier]["10s"];
    const over = goal && told?.total.p99_ms > goal;
    const more = part(node, "header .dim");
    put(more, !told?.total.count ? "nothing was answered in the last minute" : `${num(told.total.count)} answered in ${is10 ? "about 10 s" : "a minute"}${over ? `, p99 is over the objective of ${ms(goal)}` : ""}`);
    more.classList.toggle("bad", Boolean(over));
    for (const [mark, row] of [["q", told?.queue], ["s", told?.total]]) {
      const rect = part(node, "rect." + mark);
      const [from, to] = [along(row?.p50_ms ?? 0), along(row?.p99_ms ?? 0)];
      rect.style.display = row?.p99_ms >= 0.1 ? "" : "none";
      set(rect, "x", from + "%");
      set(rect, "width", Math.max(1, to - from) + "%");
    }
    const line = part(node, ".goal");
    line.style.display = goal ? "" : "none";
    for (const end of ["x1", "x2"]) set(line, end, along(goal ?? 0) + "%");
    const cells = part(node, ".nums").children;
    [told?.queue, told?.total].forEach((row, at) => ["p50_ms", "p99_ms", "p999_ms"].forEach((key, col) => put(cells[4 * (at + 1) + 1 + col], ms(row?.[key]))));
  });
}

// --- budgets ---

function budgets() {
  const rows = [];
  for (const tier of state.names) {
    const it = state.told.objectives?.[tier];
    for (const kind of ["availability", "latency"]) if (it?.[kind]) rows.push({ tier, kind, it: it[kind], goal: it.latency_ms });
  }
  $("budgets").hidden = !rows.length;
  list($("budget"), rows, (row) => row.tier + row.kind, () => make("div.budget", {}, make("span", {}, make("b"), make("span.dim")), make("span.left"), meter(), make("span.burn")), (node, { tier, kind, it, goal }) => {
    const [what, left, bar, burn] = node.children;
    const digits = (x) => Number((x * 100).toFixed(4)) + " %";
    put(what.firstChild, tier + " ");
    put(what.lastChild, kind === "latency" ? `${digits(it.target)} within ${ms(goal)}` : `${digits(it.target)} answered`);
    const none = !(it.good + it.bad);
    put(left, none ? "nothing yet" : it.budget_left < 0 ? `overspent ${times10(1 - it.budget_left)}` : `${percent(it.budget_left)} left`);
    left.classList.toggle("bad", it.budget_left < 0);
    level(bar, it.budget_left < 0 ? 1 : it.budget_left, it.budget_left < 0);
    // 14.4: a fiftieth of a month's budget in an hour (Site Reliability Workbook, chapter 5).
    const fast = it.burn_5m > 14.4 && it.burn_1h > 14.4;
    const burns = it.burn_5m || it.burn_1h ? `${fast ? "Burning fast: " : "Burns "}${times10(it.burn_5m)} over 5 min, ${times10(it.burn_1h)} over an hour` : "Burns nothing";
    put(burn, `${burns} · ${num(it.bad)} of ${num(it.good + it.bad)} missed`);
    burn.classList.toggle("bad", fast);
  });
}
const times10 = (x) => num(x) + " ×";

// --- violations ---

const STAGES = ["accept", "head", "decide", "queue", "connect", "first_byte", "last_byte"];
function missed() {
  const rows = state.told.violations ?? [];
  const home = $("missed");
  if (!rows.length) return list(home, [0], () => "none", () => make("p.empty", {}, "Every request that was let in was served as promised."), () => {});
  list(home, rows, (it) => rows.indexOf(it), () => make("div.miss", {}, make("time"), make("span", {}, make("b"), " ", make("span.cause")), make("b"), make("span.what"),
    make("span.stages", { "aria-hidden": "true" }, ...STAGES.map(() => make("i")))), (node, it) => {
    const [time, head, total, what, stages] = node.children;
    put(time, clock(it.unix_ms));
    put(head.firstChild, it.tier);
    put(part(head, ".cause"), it.reason.replace("_", " ") + ", by " + it.stage.replace("_", " "));
    put(total, ms(it.total_ms));
    STAGES.forEach((stage, at) => {
      stages.children[at].style.flexGrow = it.stages_ms[stage];
      set(stages.children[at], "class", stage === it.stage ? "blame" : "");
    });
    put(what, [it.route, it.server ?? it.upstream, it.excess_ms > 0 ? `${it.stage.replace("_", " ")} ${ms(it.excess_ms)} over its budget` : null, it.trace_id ? "trace " + it.trace_id : null].filter(Boolean).join(" · "));
  });
}
