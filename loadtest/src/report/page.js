// What stands under the pointer, in every drawing over time at once. Without this script the page
// lacks nothing but that.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  if (!data.at) return;
  const tip = document.body.appendChild(document.createElement("div"));
  tip.className = "tip";
  const panels = [...document.querySelectorAll("[data-chart]")].filter((panel) => data.charts[panel.dataset.chart]);
  const figure = (value) => {
    if (value === null) return "-";
    const size = Math.abs(value);
    const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    return value.toLocaleString("en-US", { maximumFractionDigits: digits });
  };
  const point = (column) => {
    for (const panel of panels) {
      const svg = panel.querySelector("svg");
      const { left, right, columns } = svg.dataset;
      const x = +left + ((column + 0.5) / columns) * (right - left);
      const cursor = svg.querySelector(".cursor");
      cursor.classList.toggle("on", column >= 0);
      cursor.setAttribute("transform", `translate(${x.toFixed(1)} 0)`);
    }
  };
  const show = (panel, column, event) => {
    tip.replaceChildren();
    const head = tip.appendChild(document.createElement("b"));
    head.textContent = data.at[column];
    const table = tip.appendChild(document.createElement("table"));
    for (const [name, colour, unit, values] of data.charts[panel.dataset.chart]) {
      const row = table.insertRow();
      const key = row.insertCell();
      key.appendChild(document.createElement("i")).className = colour;
      key.append(name);
      row.insertCell().textContent = `${figure(values[column])} ${unit}`;
    }
    tip.style.display = "block";
    const { offsetWidth: width, offsetHeight: height } = tip;
    const x = event.clientX + 16 + width > innerWidth ? event.clientX - 16 - width : event.clientX + 16;
    tip.style.left = `${Math.max(4, x)}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 12, innerHeight - height - 4))}px`;
  };
  for (const panel of panels) {
    const svg = panel.querySelector("svg");
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const { left, right, columns } = svg.dataset;
      const column = Math.floor(((at - left) / (right - left)) * columns);
      if (column < 0 || column >= data.at.length) return;
      point(column);
      show(panel, column, event);
    });
    svg.addEventListener("pointerleave", () => {
      point(-1);
      tip.style.display = "none";
    });
  }
})();
