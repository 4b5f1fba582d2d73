// The configuration, and who may change it.

// --- configuration ---

async function history() {
  try {
    const answer = await ask("/api/config/history");
    if (answer.ok) state.history = (await answer.json()).generations;
  } catch {
    // The stream says so when the gateway is not there; the next generation asks again.
    state.generation = null;
  }
  draw();
}
const ago = (at) => {
  const s = (Date.now() - Date.parse(at)) / 1000;
  return s < 90 ? `${Math.max(0, Math.round(s))} s ago` : s < 5400 ? `${Math.round(s / 60)} min ago` : s < 129600 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} days ago`;
};
const by = (it) => [it.trigger, it.who, it.from && "from " + it.from].filter(Boolean).join(", ");
function changes(list_) {
  const most = 12;
  const lines = list_.slice(0, most);
  if (list_.length > most) lines.push(`and ${list_.length - most} more`);
  return make("ul", {}, ...lines.map((line) => make("li", {}, line)));
}
function live() {
  const { config, generation } = state.told;
  const alerts = [];
  if (config.rejected) alerts.push(["rejected" + config.rejected.at, `A change was refused ${ago(config.rejected.at)} (${by(config.rejected)}). The configuration before it stays live.`, config.rejected.problems.map((it) => [it.line && `line ${it.line}`, it.path, it.message].filter(Boolean).join(": ")).join("\n")]);
  if (config.confirm_by) alerts.push(["confirm", `This change is taken back at ${clock(config.confirm_by)} unless somebody keeps it.`, ""]);
  if (config.after_restart.length) alerts.push(["restart", `At the next start only: ${joined(config.after_restart)}.`, ""]);
  if (config.overridden_by.length) alerts.push(["environment", `Overridden by the environment: ${joined(config.overridden_by)}.`, ""]);
  list($("live"), ["head", ...alerts], (it) => (it === "head" ? it : it[0]), (it) => (it === "head" ? make("p", {}, make("span.gen"), " ", make("span.dim")) :
    make("div.alert", {}, make("span"), it[2] ? make("pre", {}, it[2]) : null, it[0] === "confirm" ? make("p.row", {}, make("button", { type: "button", onclick: keep }, "Keep it")) : null)), (node, it) => {
    if (it !== "head") return put(node.firstChild, it[1]);
    const latest = state.history[0];
    put(node.firstChild, "Generation " + generation);
    put(node.lastChild, (latest ? `${ago(latest.at)}, ${by(latest)} · ` : "") + `from ${config.source}`);
  });
  const rows = state.history;
  list($("history"), rows, (it) => `${it.generation}@${rows[0].generation}`, (it) => {
    const isLive = it.generation === rows[0].generation;
    const button = isLive ? make("span.tag.calm", {}, "live") : make("button", { type: "button", onclick: () => ask_back(it) }, "Roll back to " + it.generation);
    const text = make("span", {}, make("b", {}, it.generation), " ", make("span.dim", {}, `${new Date(it.at).toLocaleString("en-GB")}, ${by(it)}`));
    return make("li", {}, text, button, it.changes.length ? changes(it.changes) : null);
  }, () => {});
}
async function keep() {
  if (state.role !== "operator") return who("To keep a change takes the operator's token.");
  const answer = await ask("/api/config/confirm", { method: "POST" });
  say([answer.ok ? "The change stays" : (await answer.json()).detail]);
}
function ask_back(to) {
  if (state.role !== "operator") return who("A viewer may look and change nothing: to roll back takes the operator's token.");
  const dialog = $("back");
  const taken = state.history.filter((it) => it.generation > to.generation);
  put($("back-h"), `Roll back to generation ${to.generation}?`);
  $("back-what").replaceChildren(
    make("p", {}, `What was live at ${new Date(to.at).toLocaleString("en-GB")} becomes live again, as a new generation. Requests, permits and counters stay. The file is not written. This takes back:`),
    ...taken.flatMap((it) => [make("h3", {}, `Generation ${it.generation}`, make("small", {}, ` ${by(it)}`)), it.changes.length ? changes(it.changes) : make("p.dim", {}, "no key")]));
  put($("back-result"), "");
  put($("back-no"), "Cancel");
  const button = $("back-do");
  put(button, `Roll back to ${to.generation}`);
  button.disabled = false;
  button.hidden = false;
  button.onclick = async () => {
    button.disabled = true;
    try {
      const answer = await ask("/api/config/rollback?to=" + to.generation, { method: "POST" });
      const told = await answer.json();
      button.hidden = answer.ok;
      if (answer.ok) put($("back-no"), "Close");
      button.disabled = false;
      const problems = told.problems?.map((it) => it.message) ?? [];
      put($("back-result"), answer.ok ? (told.result === "unchanged" ? "It means what is live already." : `Live as generation ${told.generation}.` + (told.note ? ` ${told.note}.` : "")) : [told.detail, ...problems].join(" "));
    } catch {
      button.disabled = false;
      put($("back-result"), "The gateway cannot be reached. Whether it was done, the history will show.");
    }
  };
  dialog.showModal();
}

// --- who looks ---

function who(why) {
  put($("token-why"), why);
  $("token-in").value = "";
  if (!$("token").open) $("token").showModal();
  $("token-in").focus();
}
$("token").addEventListener("close", () => {
  if ($("token").returnValue === "yes" && $("token-in").value) {
    token = $("token-in").value.trim();
    sessionStorage.setItem("floodgate-token", token);
    listen();
  } else if (!state.told) {
    state.why = "Press k and give a token.";
    stale("No data.", state.why);
  }
  $("token-in").value = "";
});
part($("token"), "[value=no]").addEventListener("click", () => $("token").close("no"));
