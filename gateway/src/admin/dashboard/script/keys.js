// Keys, theme, and the beginning of it all.

// --- keys, theme ---

const THEMES = ["auto", "dark", "light"];
function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  localStorage.setItem("floodgate-theme", name);
  put(part($("theme"), "span"), name);
  set($("theme"), "aria-label", "Theme: " + (name === "auto" ? "as the system" : name));
  tiles = [];
  draw();
}
const themeNow = () => localStorage.getItem("floodgate-theme") || "auto";
const nextTheme = () => theme(THEMES[(THEMES.indexOf(themeNow()) + 1) % 3]);
$("theme").addEventListener("click", nextTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(themeNow()));

$("span").addEventListener("change", (event) => {
  state.span = Number(event.target.value);
  draw();
});
const PARTS = ["water", "refusals", "journeys", "flight", "traffic", "latency", "budgets", "violations", "config"];
const help = () => $("help").showModal();
$("help-open").addEventListener("click", help);
$("keys-on").checked = localStorage.getItem("floodgate-keys") !== "off";
$("keys-on").addEventListener("change", () => localStorage.setItem("floodgate-keys", $("keys-on").checked ? "on" : "off"));
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input:not([type=radio]), dialog") || event.ctrlKey || event.metaKey || event.altKey;
  if (isTyping || !$("keys-on").checked) return;
  const go = (node) => {
    node.scrollIntoView({ behavior: motion.matches ? "auto" : "smooth" });
    node.focus({ preventScroll: true });
  };
  const to = $(PARTS[Number(event.key) - 1]);
  if (to && !to.hidden) go(to);
  else if (event.key === "0") scrollTo({ top: 0 });
  else if (event.key === "t") nextTheme();
  else if (event.key === "k") who("Another token?");
  else if (event.key === "?") help();
  else if (event.key === "s") {
    const next = { 60: 300, 300: 600, 600: 60 }[state.span];
    part($("span"), `[value="${next}"]`).click();
  } else return;
  event.preventDefault();
});
let resized = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(resized);
  resized = requestAnimationFrame(draw);
});

theme(themeNow());
listen();
