// What is heard, and whether anything is.

// --- what came ---

function second(raw) {
  const [n, t, dt, given, finished, ...tiers] = raw;
  const tier = (it) => {
    if (!it) return null;
    const [offered, admitted, completed, failed, abandoned, level, open, trips, ...rest] = it;
    const refused = new Map();
    for (let at = 0; at < rest.length; at += 2) refused.set(rest[at], rest[at + 1]);
    return { offered, admitted, completed, failed, abandoned, level, open, trips, refused };
  };
  return { n, t, dt, given, finished, tiers: tiers.map(tier) };
}

// What `what` of a second was a second, over the last few of them.
function rate(count, what) {
  const last = state.seconds.slice(-count);
  const time = sum(last.map((one) => one.dt)) / 1000;
  return time > 0 ? sum(last.map(what)) / time : 0;
}
const ofTier = (at, what) => (one) => (one.tiers[at] ? what(one.tiers[at]) : 0);
const ofAll = (what) => (one) => sum(one.tiers.map((tier) => (tier ? what(tier) : 0)));
const refusedIn = (tier) => sum([...tier.refused.values()]);

function heard(name, data) {
  state.heard = performance.now();
  if (name === "end") {
    state.ended = true;
    return;
  }
  const told = JSON.parse(data);
  if (name === "past") {
    Object.assign(state, { role: told.role, reasons: told.reasons, names: told.tiers.map((it) => it.name) });
    state.seconds = told.second.map(second);
    state.delay = Infinity;
    return;
  }
  if (told.tiers.map((it) => it.name).join() !== state.names.join()) return listen();
  if (told.second) {
    const fresh = second(told.second);
    if (fresh.n > (state.seconds.at(-1)?.n ?? 0)) state.seconds.push(fresh);
    if (state.seconds.length > 600) state.seconds.shift();
    // How much later than at best: what comes late is old, however lively it comes.
    const lag = Date.now() - fresh.t;
    state.delay = Math.min(state.delay, lag);
    state.late = lag - state.delay;
  }
  state.told = told;
  state.ended = false;
  watch(told);
  if (told.generation !== state.generation) {
    state.generation = told.generation;
    history();
  }
  draw();
}

// Says which breakers and circuits have changed.
function watch(told) {
  const news = [];
  const seen = new Map();
  const look = (what, now) => {
    seen.set(what, now);
    if (state.breakers.has(what) && state.breakers.get(what) !== now) news.push(what + " is " + now.replace("_", "-"));
  };
  for (const [name, upstream] of Object.entries(told.upstreams)) {
    for (const tier of state.names) if (upstream.tiers[tier]) look(`${tier} breaker of ${name}`, upstream.tiers[tier].breaker);
    if (upstream.circuit) look(`circuit of ${name}`, upstream.circuit);
  }
  state.breakers = seen;
  say(news);
}
let saidAt = -Infinity;
let unsaid = [];
function say(news) {
  unsaid.push(...news);
  // Not more often than anybody could listen to.
  if (!unsaid.length || performance.now() - saidAt < 3000) return;
  saidAt = performance.now();
  put($("say"), unsaid.length > 4 ? `${unsaid.length} changes of breakers, the last: ${unsaid.at(-1)}` : unsaid.join(". "));
  unsaid = [];
}

// --- the stream ---

let token = sessionStorage.getItem("floodgate-token") || "";
let stream = null;
const ask = (path, more) => fetch(path, {
  cache: "no-store", credentials: "omit", ...more, headers: token ? { authorization: "Bearer " + token } : {},
});

// Begins anew; whatever listened before ends.
async function listen() {
  stream?.abort();
  const mine = (stream = new AbortController());
  for (let tries = 0; !mine.signal.aborted; tries++) {
    try {
      state.begun = performance.now();
      const answer = await ask("/api/events", { signal: mine.signal });
      if (answer.status === 401) {
        pulse("wait", "token needed");
        return who(token ? "That token is not one of this gateway's." : "This gateway wants a token.");
      }
      if (!answer.ok) throw new Error((await answer.json()).detail);
      state.why = "";
      await read(answer.body, () => (tries = 0));
      state.why = state.ended ? "The gateway was stopped." : "The connection ended.";
    } catch (error) {
      if (mine.signal.aborted && !mine.silent) return;
      state.why = error instanceof TypeError ? "The gateway cannot be reached." : mine.silent ? "The gateway is silent." : error.message;
    }
    if (mine.silent) return listen();
    await new Promise((done) => setTimeout(done, Math.min(500 * 2 ** tries, 5000)));
  }
}
async function read(body, well) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const lines = text.slice(0, end).split("\n");
      const field = (name) => lines.find((line) => line.startsWith(name))?.slice(name.length);
      const data = field("data: ");
      if (data) heard(field("event: ") || "now", data);
      well();
    }
  }
}

function pulse(name, text) {
  set($("pulse"), "data-state", name);
  put(part($("pulse"), "span"), text);
}
setInterval(look, 250);
document.addEventListener("visibilitychange", () => { look(); draw(); });
function look() {
  const now = performance.now();
  const quiet = now - (state.heard || 0);
  const late = state.late > STALE_MS;
  if (!state.told) {
    if (quiet > STALE_MS && state.why) stale("No data yet.", state.why);
    return;
  }
  if (quiet > STALE_MS || late) {
    const from = state.seconds.at(-1)?.t;
    const old = late ? state.late + quiet : quiet;
    stale(`Stale: ${Math.round(old / 1000)} s old.`, `What you see is from ${from ? clock(from) : "before"}. ${state.why || (late ? "News comes late." : "Nothing is heard of the gateway.")} It goes on by itself.`);
    pulse("stale", "stale");
    if (quiet > DEAD_MS && now - state.begun > DEAD_MS && stream && !stream.signal.aborted) {
      stream.silent = true;
      stream.abort();
    }
  } else {
    if (state.stale) say(["Live again"]);
    state.stale = false;
    $("stale").hidden = true;
    document.body.classList.remove("is-stale");
    pulse("live", "live");
  }
  title();
}
function stale(head, text) {
  if (!state.stale) $("stale").hidden = false;
  state.stale = true;
  document.body.classList.toggle("is-stale", Boolean(state.told));
  // The seconds count for the eye only: an alert that changes is read aloud again and again.
  put(part($("stale"), "b"), head);
  put(part($("stale"), "span"), text);
}
function title() {
  const open = [...state.breakers].filter(([, now]) => now === "open").map(([what]) => what.split(" ")[0]);
  const head = state.stale ? "STALE · " : open.length ? `▲ ${joined([...new Set(open)])} open · ` : "";
  if (document.title !== head + "Floodgate") document.title = head + "Floodgate";
}
$("again").addEventListener("click", () => listen());
