"use strict";
/* Tables sort and filter; the ablation view shows the levels of the factor and base that are picked. */

const UNITS = { us: 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, k: 2 ** 10, m: 2 ** 20 };

/** The number that a cell begins with, in seconds or bytes where it has a unit, the share that is
 * left where it tells how many times faster or less, below 0 what is worse; null for words. */
function numberOf(text) {
  const found = text.replace(/,/g, "").match(/^\s*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)/i);
  if (!found) return null;
  const unit = text.match(/\b(us|ms|s|min|h|KiB|MiB|GiB)\b/) || text.match(/^\s*[\d.,]+([KM])\b/);
  if (/ times (faster|less)$/.test(text.trim())) return 1 / Number(found[1]);
  if (/ worse$/.test(text.trim())) return -Number(found[1]);
  return Number(found[1]) * (unit ? UNITS[unit[1].toLowerCase()] : 1);
}

/** Order cells: numbers by size, then words, then what is empty. */
function compareCells(a, b) {
  if (a === b) return 0;
  if (a === "" || b === "") return a === "" ? 1 : -1;
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null && y !== null) return x - y;
  if (x !== null || y !== null) return x !== null ? -1 : 1;
  return a.localeCompare(b);
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    button.title = "sort by " + head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      const text = (row) => row.cells[column].textContent.trim();
      rows.sort((a, b) => {
        const empty = (text(a) === "") - (text(b) === "");
        return empty || (up ? 1 : -1) * compareCells(text(a), text(b));
      });
      table.tBodies[0].append(...rows);
    });
  });
}

function makeFilterable(table) {
  if (table.tBodies[0].rows.length < 6) return;
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "filter rows, such as LSH-4";
  input.setAttribute("aria-label", "filter rows of " + (table.dataset.name || "the table"));
  const count = document.createElement("span");
  count.className = "quiet";
  const controls = document.createElement("div");
  controls.className = "controls";
  controls.append(input, count);
  table.closest(".wide").before(controls);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    count.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
  });
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function drawAblation(place, found) {
  const table = element("table", "", { class: "sortable" });
  const head = element("tr", "");
  head.append(...found.columns.map((name) => element("th", name)));
  const tHead = element("thead", "");
  tHead.append(head);
  const body = element("tbody", "");
  for (const cells of found.rows) {
    const row = element("tr", "");
    if (String(cells[0]).endsWith("(base)")) row.className = "base";
    row.append(...cells.map((cell) => element("td", cell)));
    body.append(row);
  }
  table.append(tHead, body);
  const wide = element("div", "", { class: "wide" });
  wide.append(table);
  place.replaceChildren(element("p", found.finding + ".", { class: "finding" }), drawCost(found), wide);
  makeSortable(table);
}

const SVG = "http://www.w3.org/2000/svg";

function svgElement(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

/** Quality against cost: bits per dim or accuracy against the base over the time against the base. */
function drawCost(found) {
  const points = found.points;
  const figure = element("figure", "");
  if (points.length < 2) return figure;
  const [width, height, left, bottom, top, right] = [640, 300, 70, 46, 14, 120];
  const ends = (values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = 0.08 * (high - low || Math.abs(high) || 1);
    return [low - margin, high + margin];
  };
  const xs = ends(points.flatMap((p) => [p.time, p.timeLow, p.timeHigh]));
  const ys = ends(points.flatMap((p) => [p.score, p.scoreLow, p.scoreHigh]));
  const x = (value) => left + ((value - xs[0]) / (xs[1] - xs[0])) * (width - left - right);
  const y = (value) => height - bottom - ((value - ys[0]) / (ys[1] - ys[0])) * (height - bottom - top);
  const name = `${found.score} against time, each against the base`;
  const svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name });
  const words = { fill: "#222", "font-size": 12, "font-family": "sans-serif" };
  svg.append(svgElement("rect", { width, height, fill: "#fff" }));
  for (let i = 0; i <= 4; i++) {
    const [vx, vy] = [xs[0] + (i / 4) * (xs[1] - xs[0]), ys[0] + (i / 4) * (ys[1] - ys[0])];
    svg.append(svgElement("line", { x1: x(vx), x2: x(vx), y1: top, y2: height - bottom, stroke: "#ddd" }));
    svg.append(svgElement("line", { x1: left, x2: width - right, y1: y(vy), y2: y(vy), stroke: "#ddd" }));
    svg.append(svgElement("text", { ...words, x: x(vx), y: height - bottom + 16, "text-anchor": "middle" }, vx.toFixed(2)));
    svg.append(svgElement("text", { ...words, x: left - 6, y: y(vy) + 4, "text-anchor": "end" }, vy.toFixed(3)));
  }
  svg.append(svgElement("text", { ...words, x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, "time / that of the base"));
  svg.append(svgElement("text", { ...words, x: 0, y: 0, "text-anchor": "middle", transform: `translate(14 ${height / 2}) rotate(-90)` }, `${found.score} less the base's`));
  for (const p of points) {
    const colour = p.isBase ? "#666666" : "#0072B2";
    svg.append(svgElement("line", { x1: x(p.timeLow), x2: x(p.timeHigh), y1: y(p.score), y2: y(p.score), stroke: colour }));
    svg.append(svgElement("line", { x1: x(p.time), x2: x(p.time), y1: y(p.scoreLow), y2: y(p.scoreHigh), stroke: colour }));
    svg.append(svgElement("circle", { cx: x(p.time), cy: y(p.score), r: 4.5, fill: colour }));
    svg.append(svgElement("text", { ...words, x: x(p.time) + 8, y: y(p.score) - 6 }, p.name));
  }
  const wide = element("div", "", { class: "wide" });
  wide.append(svg);
  figure.append(wide);
  return figure;
}

function makeAblationView() {
  const data = document.getElementById("ablations");
  if (!data) return;
  const found = JSON.parse(data.textContent);
  const [factor, base] = [document.getElementById("factor"), document.getElementById("base")];
  const place = document.getElementById("ablation");
  const fill = (select, names) => select.replaceChildren(...names.map((name) => element("option", name)));
  const show = () => drawAblation(place, found[factor.value][base.value]);
  const pick = () => {
    fill(base, Object.keys(found[factor.value]));
    show();
  };
  fill(factor, Object.keys(found));
  factor.addEventListener("change", pick);
  base.addEventListener("change", show);
  pick();
}

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
  makeFilterable(table);
}
makeAblationView();
