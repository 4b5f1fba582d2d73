// What is looked at first: the sentence at the top, water, refusals, permits.

// --- the sentence at the top ---

function verdict() {
  const { told, names } = state;
  const entries = Object.entries(told.upstreams);
  const offered = rate(5, ofAll((it) => it.offered));
  const refused = rate(5, ofAll(refusedIn));
  const admitted = rate(5, ofAll((it) => it.admitted));
  const completed = rate(5, ofAll((it) => it.completed));
  const sold = rate(10, (one) => one.finished);
  const open = names.filter((name, at) => entries.some(([, it]) => it.tiers[name]?.breaker === "open") ||
    state.seconds.slice(-3).some((one) => one.tiers[at]?.open || one.tiers[at]?.trips));
  const broken = entries.filter(([, it]) => it.circuit && it.circuit !== "closed");
  const out = entries.filter(([, it]) => it.servers.length && it.servers.every((one) => one.ejected));
  const shut = entries.filter(([, it]) => it.limit === 0);
  const selling = Object.keys(told.journeys).length > 0;

  const why = [...now5()].sort((a, b) => b[1] - a[1])[0];
  const { sold_out, reserved_out } = told.stock;

  let [mood, head] = ["quiet", "Quiet: nobody is asking."];
  if (told.draining) [mood, head] = ["bad", `Shutting down: ${num(told.active_requests)} still to be answered.`];
  else if (broken.length) [mood, head] = ["bad", `The circuit of ${joined(broken.map(([name]) => name))} is ${broken[0][1].circuit.replace("_", "-")}.`];
  else if (out.length) [mood, head] = ["bad", `No server of ${joined(out.map(([name]) => name))} takes connections.`];
  else if (open.includes(names[0])) [mood, head] = ["bad", `Shedding even ${names[0]}, the first tier.`];
  else if (open.length) [mood, head] = ["shed", `Shedding ${joined(open)}. ${names[0]} is let in.`];
  else if (shut.length) [mood, head] = ["shed", `${joined(shut.map(([name]) => name))} is closed by the configuration.`];
  else if (why && sold_out + reserved_out && looksLike(name(why[0])) === 6) [mood, head] = ["well", `Selling out: ${num(sold_out)} SKUs sold out, ${num(reserved_out)} reserved.`];
  else if (offered > 0 && refused / offered > 0.001) [mood, head] = ["well", `Open, and refusing ${percent(refused / offered)}.`];
  else if (offered > 0) [mood, head] = ["well", "All well: whoever comes is let in."];
  const success = selling ? `${num(sold)} checkouts a second.` : `${num(completed)} answered a second.`;
  set($("verdict"), "data-mood", mood);
  const [first, then] = $("verdict").children;
  put(first, head);
  put(then, offered > 0 || admitted > 0 ? success + (why ? ` Most refusals: ${name(why[0])}.` : " Nothing is refused.") : "Nothing has come for five seconds.");

  const at = ofTier(0, (it) => it.offered);
  const share = offered ? refused / offered : 0;
  const flight = sum(entries.map(([, it]) => it.in_flight));
  const limit = sum(entries.map(([, it]) => it.limit));
  const p99 = window10(names[0])?.total;
  const goal = told.objectives?.[names[0]]?.latency_ms;
  const rows = [
    ["Offered", num(offered), "/s", `${names[0]} ${num(rate(5, at))}/s`],
    ["Let in", num(admitted), "/s", `${names[0]} ${num(rate(5, ofTier(0, (it) => it.admitted)))}/s`],
    ["Refused", num(refused), "/s", `${percent(share)} of all`],
    selling ? ["Checkouts", num(sold), "/s", `${num(rate(60, (one) => one.finished) * 60)} in a minute`]
      : ["Answered", num(completed), "/s", `${num(rate(5, ofAll((it) => it.failed)))}/s failed`],
    ["In flight", num(flight), ` / ${num(limit)}`, `${num(sum(entries.map(([, it]) => it.queued)))} waiting`],
    [`${names[0]} p99`, ...ms(p99?.p99_ms).split(/(?=\u00a0)/), goal ? `goal ${ms(goal)}` : ""],
  ];
  list($("tiles"), rows, (row) => row[0].split(" ").at(-1), () => make("div", {}, make("dt"), make("dd"), make("dd")), (node, row) => {
    const [dt, dd, more] = node.children;
    put(dt, row[0]);
    if (!dd.firstChild) dd.append("", make("small"));
    if (dd.firstChild.data !== row[1]) dd.firstChild.data = row[1];
    put(dd.lastChild, row.length > 3 ? row[2] : "");
    put(more, row.at(-1));
  });
}
const name = (reason) => state.reasons[reason]?.[0] ?? "?";
// Refusals a second by reason, of the last five.
function now5() {
  const all = new Map();
  for (const one of state.seconds.slice(-5)) {
    for (const tier of one.tiers) for (const [reason] of tier?.refused ?? []) all.set(reason, 0);
  }
  for (const reason of all.keys()) all.set(reason, rate(5, ofAll((it) => it.refused.get(reason) ?? 0)));
  return all;
}
const window10 = (tier) => {
  const told = state.told.latency?.[tier];
  return told?.["10s"]?.total.count ? told["10s"] : told?.["1m"];
};

// --- water ---

const WAVE = (y) => `M-80 ${y}` + "q10-3.5 20 0t20 0".repeat(6) + "v140h-240z";
let tanks = 0;
function tank() {
  const id = "tank" + tanks++;
  return make("div.tank", {},
    make("span.name"),
    make("svg.body", { viewBox: "0 0 100 112", role: "img" },
      make("clipPath", { id }, make("rect", { x: 2, y: 2, width: 72, height: 108, rx: 9 })),
      make("rect.wall", { x: 2, y: 2, width: 72, height: 108, rx: 9 }),
      make("g", { "clip-path": `url(#${id})` }, make("g.fill", {}, make("path", { d: WAVE(0) }), make("path", { d: WAVE(3) }))),
      make("line.high", { x1: 2, x2: 78 }), make("line.low", { x1: 2, x2: 78 }),
      make("text.highs", { x: 81 }), make("text.lows", { x: 81 }),
      make("text.big", { x: 38, y: 64, "text-anchor": "middle" })),
    breaker(), make("span.meta"), make("canvas", { "aria-hidden": "true" }));
}
function pools() {
  const { told } = state;
  list($("pools"), Object.entries(told.upstreams), ([key]) => key, ([key]) =>
    make("div.pool", {}, make("header", {}, make("h3", {}, key), breaker(), make("span.dim")), make("div.tanks")),
  (node, [key, it]) => {
    const [, circuit, more] = part(node, "header").children;
    flip(circuit, it.circuit || "closed", "circuit ");
    put(more, `${num(it.queued)} of ${num(it.buffer)} places taken, queue delay ${ms(it.queue_delay_ms)}`);
    list(part(node, ".tanks"), told.tiers, (tier) => tier.name, tank, (one, tier) => fill(one, tier, it.tiers[tier.name], key));
  });
}
function fill(node, tier, it, upstream) {
  if (!it) return;
  const y = (level) => 110 - level * 108;
  const [high, low] = [y(tier.high), y(tier.low)];
  set(node, "data-open", it.breaker === "open" ? 1 : 0);
  put(part(node, ".name"), tier.name);
  part(node, ".fill").style.transform = `translateY(${y(it.pressure + (it.pressure > 0.005 ? 0 : -0.05))}px)`;
  for (const [line, at] of [["high", high], ["low", low]]) {
    for (const end of ["y1", "y2"]) set(part(node, "line." + line), end, at);
  }
  set(part(node, ".highs"), "y", Math.max(8, high - 1));
  set(part(node, ".lows"), "y", Math.min(110, Math.max(low + 8, high + 9)));
  put(part(node, ".highs"), Math.round(tier.high * 100));
  put(part(node, ".lows"), Math.round(tier.low * 100));
  const level = Math.round(it.pressure * 100) + "%";
  put(part(node, ".big"), level);
  flip(part(node, ".switch"), it.breaker);
  const at = state.names.indexOf(tier.name);
  const trips = sum(state.seconds.slice(-60).map(ofTier(at, (one) => one.trips)));
  const { queued, buffer } = state.told.upstreams[upstream];
  const near = (x) => Math.abs(it.pressure - x) < 0.02;
  const by = it.pressure < 0.1 ? "" : near(queued / buffer) ? "by the buffer, " : near(state.told.memory.pressure) ? "by memory, " : "by queue delay, ";
  put(part(node, ".meta"), `${by}${num(it.queued)} waiting` + (it.queued ? ` ≈ ${ms(it.estimated_wait_ms)}` : "") +
    (trips ? `, ${trips} × tripped in a minute` : ""));
  set(part(node, ".body"), "aria-label", `${tier.name} at ${upstream}: water level ${level}, breaker ${it.breaker}; ` +
    `trips at ${Math.round(tier.high * 100)}, resets at ${Math.round(tier.low * 100)} percent`);
  spark(part(node, "canvas"), at, tier);
}
// The level of the last two minutes, with the times at which the breaker was open.
function spark(canvas, at, tier) {
  const pen = sheet(canvas);
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  const last = state.seconds.at(-1)?.n ?? 0;
  const x = (one) => w * (1 - (last - one.n) / 120);
  const y = (level) => h - 1 - (level / 100) * (h - 6);
  pen.fillStyle = ink.line;
  pen.fillRect(0, h - 1, w, 1);
  pen.beginPath();
  const shown = state.seconds.slice(-121).filter((one) => one.tiers[at]);
  shown.forEach((one, index) => pen[index ? "lineTo" : "moveTo"](x(one), y(one.tiers[at].level)));
  pen.strokeStyle = ink.water;
  pen.lineWidth = 1.5;
  pen.stroke();
  pen.fillStyle = ink.bad;
  for (const one of shown) if (one.tiers[at].open || one.tiers[at].trips) pen.fillRect(x(one) - w / 120, 0, w / 120 + 0.5, 3);
  pen.setLineDash([3, 3]);
  pen.globalAlpha = 0.5;
  pen.strokeStyle = ink.bad;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(0, y(tier.high * 100));
  pen.lineTo(w, y(tier.high * 100));
  pen.stroke();
}

// --- refusals ---

function reasons() {
  const totals = new Map();
  for (const one of state.seconds) for (const tier of one.tiers) for (const [reason, count] of tier?.refused ?? []) totals.set(reason, (totals.get(reason) ?? 0) + count);
  const now = now5();
  // In order of what comes now, in steps wide enough that rows stay where they are.
  const weight = (reason) => Math.round(Math.log2(1 + (now.get(reason) ?? 0))) * 1e12 + totals.get(reason);
  const rows = [...totals.keys()].sort((a, b) => weight(b) - weight(a));
  const home = $("reasons");
  if (!rows.length) return list(home, [0], () => "none", () => make("p.empty", {}, "Nothing was refused in the last ten minutes."), () => {});
  list(home, rows, (reason) => reason, (reason) => {
    const [text, means, change] = state.reasons[reason];
    return make("details.reason", {}, make("summary", {}, swatch(looksLike(text)), make("code", {}, text), make("span.rate"), make("span.who")),
      make("p", {}, means), make("p", {}, change));
  }, (node, reason) => {
    set(node, "data-now", now.get(reason) > 0 ? 1 : 0);
    put(part(node, ".rate"), `${num(now.get(reason) ?? 0)}/s`);
    const by = [...state.names, "no route"].map((tier, at) => [tier, rate(5, ofTier(at, (it) => it.refused.get(reason) ?? 0))]).filter(([, it]) => it > 0);
    put(part(node, ".who"), [...by.map(([tier, it]) => `${tier} ${num(it)}/s`), `${num(totals.get(reason))} in ten minutes`].join(" · "));
  });
}

// --- in flight ---

const meter = () => make("div.meter", { "aria-hidden": "true" }, make("i"), make("u", { hidden: "" }));
function level(node, part_, full) {
  part(node, "i").style.transform = `scaleX(${Math.max(0, Math.min(1, part_ || 0))})`;
  node.classList.toggle("full", Boolean(full));
}
function upstreams() {
  list($("ups"), Object.entries(state.told.upstreams), ([key]) => key, ([key]) =>
    make("div.up", {}, make("header", {}, make("h3", {}, key), make("span.tags"), make("span.count")), meter(), make("p.note"), make("div.servers")),
  (node, [, it]) => {
    const bar = part(node, ".meter");
    put(part(node, ".count"), `${num(it.in_flight)} / ${num(it.limit)}`);
    level(bar, it.limit ? it.in_flight / it.limit : 1, it.limit === 0 || it.in_flight > it.limit);
    const found = it.adaptive;
    part(bar, "u").hidden = !found;
    if (found) part(bar, "u").style.left = Math.min(100, (found.limit / Math.max(1, it.limit)) * 100) + "%";
    put(part(node, ".note"), [
      it.mean_service_ms ? `${ms(it.mean_service_ms)} mean service` : null,
      `${num(it.queued)} waiting`,
      found ? `${found.algorithm} ${found.shadow ? "would set" : "found"} ${num(found.limit)}${found.rests ? `, rests: ${found.rests.replace("_", " ")}` : ""}` : null,
      it.upgraded ? `${num(it.upgraded)} upgraded` : null,
    ].filter(Boolean).join(" · "));
    const tags = [];
    if (it.limit === 0) tags.push("closed");
    else if (it.in_flight >= it.limit) tags.push("full");
    list(part(node, ".tags"), tags, (tag) => tag, (tag) => make("span.tag" + (tag === "full" ? ".calm" : ""), {}, tag), () => {});
    list(part(node, ".servers"), it.servers, (server) => server.address, (server) =>
      make("div.server", {}, make("span", {}, make("code", {}, server.address), " ", make("span.tag", { hidden: "" })), make("b"), meter()),
    (row, server) => {
      const limit = server.limit ?? it.limit;
      const trouble = server.circuit && server.circuit !== "closed" ? "circuit " + server.circuit.replace("_", "-") : server.ejected ? "ejected" : "";
      part(row, ".tag").hidden = !trouble;
      put(part(row, ".tag"), trouble);
      put(part(row, "b"), `${num(server.in_flight)} / ${num(limit)}`);
      level(part(row, ".meter"), limit ? server.in_flight / limit : 0, trouble);
    });
  });
}
