// What the other parts use: the state of the page, nodes, figures. All parts are one script, in one function.

// What comes is in /api/events: `past` once, `now` every second, `end` when the gateway stops. Fetched, not by an
// EventSource: that one sends no Authorization, and a token has no place in an address.
const STALE_MS = 2500;
const DEAD_MS = 10000;
const $ = (id) => document.getElementById(id);
const motion = matchMedia("(prefers-reduced-motion: reduce)");

const state = {
  names: [], reasons: [], seconds: [], role: null, told: null, generation: null, history: [],
  heard: 0, stale: false, ended: false, why: "", span: 300, breakers: new Map(), cursor: null,
};

// --- nodes ---

const SHAPES = ["svg", "path", "g", "line", "rect", "text", "use", "clipPath", "defs", "pattern"];
const SVG = "http://www.w3.org/2000/svg";
function make(tag, props, ...kids) {
  const [name, ...classes] = tag.split(".");
  const isSvg = SHAPES.includes(name);
  const node = isSvg ? document.createElementNS(SVG, name) : document.createElement(name);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(props || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value != null) node.setAttribute(key, value);
  }
  node.append(...kids.filter((kid) => kid != null));
  return node;
}
const part = (node, selector) => node.querySelector(selector);
function put(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}
function set(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}
// The children of `parent` are those of `items`: what stays keeps its node, and with it focus and motion.
function list(parent, items, key, fresh, update) {
  const old = parent.kept || new Map();
  parent.kept = new Map();
  items.forEach((item, at) => {
    const name = key(item);
    const node = old.get(name) || fresh(item);
    old.delete(name);
    parent.kept.set(name, node);
    if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] || null);
    update(node, item);
  });
  for (const node of old.values()) node.remove();
}
const glyph = (name) => make("svg", { "aria-hidden": "true" }, make("use", { href: "#" + name }));
const breaker = () => make("span.switch", {}, glyph("closed"), make("b"));
function flip(node, name, of = "") {
  set(node, "data-state", name);
  set(part(node, "use"), "href", "#" + name);
  put(part(node, "b"), of + (name === "open" ? "OPEN" : name.replace("_", "-")));
}

// --- figures ---

const thousands = new Intl.NumberFormat("en");
function num(x) {
  if (x == null || Number.isNaN(x)) return "–";
  if (x >= 1e6) return (x / 1e6).toFixed(1) + " M";
  if (x >= 1e5) return Math.round(x / 1e3) + " k";
  if (x >= 10 || x === Math.round(x)) return thousands.format(Math.round(x));
  return x < 0.05 ? "0" : x.toFixed(1);
}
function ms(x) {
  if (x == null) return "–";
  if (x < 0.005) return "0 ms";
  if (x >= 7.2e6) return num(x / 3.6e6) + " h";
  if (x >= 120000) return num(x / 60000) + " min";
  if (x >= 10000) return (x / 1000).toFixed(0) + " s";
  if (x >= 1000) return (x / 1000).toFixed(1) + " s";
  return (x >= 10 ? Math.round(x) : x.toFixed(x < 1 ? 2 : 1)) + " ms";
}
const percent = (x) => (x > 0 && x < 0.01 ? "<1" : x < 1 && x > 0.99 ? ">99" : Math.round(x * 100)) + " %";
const clock = (at) => new Date(at).toLocaleTimeString("en-GB");
const bytes = (x) => num(x / (1 << 20)) + " MiB";
const joined = (names) => names.length < 2 ? names.join("") : names.slice(0, -1).join(", ") + " and " + names.at(-1);
const sum = (values) => values.reduce((all, value) => all + value, 0);
