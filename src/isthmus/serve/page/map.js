// A map of records on a canvas: drag or arrow keys to move, wheel, pinch or + and - to zoom, hover to read.

import { card, h, note, told } from "/page/kit.js";

const COLOURS = ["#2f6fb3", "#d9822b", "#3f8f5a", "#b3475f", "#7a5ab5", "#8a6d3b", "#c45aa0", "#5f7d8c", "#9a9a2e", "#2aa0a8"];
const NEAR = 14;

const marks = { own: [], answers: [], words: ["", ""] };

// Show some records of the map: the visitor's own, and the answer; `words` tells both, in this order.
export function markOnMap(own, answers, words) {
  Object.assign(marks, { own, answers, words });
  document.dispatchEvent(new Event("marked"));
}

function dotted(colour, text) {
  const dot = h("span", { ariaHidden: "true" }, "●");
  dot.style.color = colour;
  return h("span", {}, dot, ` ${text}`);
}

export async function mapOf(region, ask, words) {
  const box = card(words.mapTitle || "Map", h("p", { className: "soft" }, words.map ||
    "Every dot is a record. Records that the model finds alike lie close together."));
  region.append(box);
  try {
    const found = await ask("map");
    if (found.points.length < 2) { box.remove(); return; }
    box.append(drawnMap(found));
  } catch (error) {
    box.append(note(told(error)));
  }
}

function colours(labels) {
  if (!labels) return { of: () => COLOURS[0], names: [] };
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) || 0) + 1);
  const names = [...counts].sort((a, b) => b[1] - a[1]).slice(0, COLOURS.length).map(([name]) => name).sort();
  const place = new Map(names.map((name, index) => [name, COLOURS[index]]));
  return { of: (row) => place.get(labels[row]) || "#999999", names: names.map((name) => [name, place.get(name)]) };
}

function drawnMap(found) {
  const canvas = h("canvas", { tabIndex: 0, role: "img",
    ariaLabel: `Map of ${found.points.length} records. Arrow keys move it, plus and minus zoom.` });
  const tip = h("div", { className: "tip", hidden: true });
  const paint = colours(found.labels);
  const xs = found.points.map((one) => one[0]), ys = found.points.map((one) => one[1]);
  const low = [Math.min(...xs), Math.min(...ys)], high = [Math.max(...xs), Math.max(...ys)];
  const view = { zoom: 1, x: 0, y: 0 };
  const rows = new Map((found.ids || []).map((id, row) => [id, row]));
  let chosen = -1, marked = [];

  function scale() {
    const width = canvas.clientWidth, height = canvas.clientHeight, margin = 24;
    const factor = Math.min((width - 2 * margin) / (high[0] - low[0] || 1), (height - 2 * margin) / (high[1] - low[1] || 1));
    return { width, height, factor: factor * view.zoom };
  }
  function place(row) {
    const { width, height, factor } = scale();
    return [width / 2 + view.x + (xs[row] - (low[0] + high[0]) / 2) * factor,
      height / 2 + view.y - (ys[row] - (low[1] + high[1]) / 2) * factor];
  }
  function draw() {
    const ratio = devicePixelRatio || 1, { width, height } = scale();
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const radius = Math.min(6, (found.points.length > 1500 ? 2 : 3) * Math.sqrt(view.zoom));
    pen.globalAlpha = 0.75;
    for (let row = 0; row < xs.length; row += 1) {
      const [x, y] = place(row);
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      pen.fillStyle = paint.of(row);
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    for (const [row, name] of marked) {
      const [x, y] = place(row), style = getComputedStyle(canvas);
      pen.fillStyle = style.getPropertyValue(name);
      pen.strokeStyle = style.getPropertyValue("--card");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(x, y, radius + 4, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
    if (chosen >= 0) {
      const [x, y] = place(chosen);
      pen.strokeStyle = getComputedStyle(canvas).getPropertyValue("--focus");
      pen.lineWidth = 3;
      pen.beginPath();
      pen.arc(x, y, radius + 3, 0, 2 * Math.PI);
      pen.stroke();
    }
  }
  let asked = false;
  function soon() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  }
  function nearest(x, y) {
    let best = -1, least = NEAR * NEAR;
    for (let row = 0; row < xs.length; row += 1) {
      const [px, py] = place(row), far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) { least = far; best = row; }
    }
    return best;
  }
  function point(row) {
    chosen = row;
    tip.hidden = row < 0;
    if (row >= 0) {
      const [x, y] = place(row);
      const label = found.labels && found.labels[row] ? ` (${found.labels[row]})` : "";
      tip.textContent = String(found.names[row]).slice(0, 200) + label;
      tip.style.left = `${Math.max(4, Math.min(x + 12, canvas.clientWidth - tip.offsetWidth - 4))}px`;
      tip.style.top = `${Math.max(4, y - tip.offsetHeight - 10)}px`;
    }
    soon();
  }
  function zoom(by, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    const next = Math.max(0.5, Math.min(60, view.zoom * by)), ratio = next / view.zoom;
    const left = x - canvas.clientWidth / 2, top = y - canvas.clientHeight / 2;
    view.x = left - (left - view.x) * ratio;
    view.y = top - (top - view.y) * ratio;
    view.zoom = next;
    point(-1);
  }

  const held = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, [event.offsetX, event.offsetY]);
    canvas.setPointerCapture(event.pointerId);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => held.delete(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) { point(nearest(event.offsetX, event.offsetY)); return; }
    const now = [event.offsetX, event.offsetY];
    if (held.size === 1) {
      view.x += now[0] - before[0];
      view.y += now[1] - before[1];
      point(-1);
    } else {
      const other = [...held].find(([id]) => id !== event.pointerId)[1];
      const far = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
      zoom(far(now) / far(before), other[0], other[1]);
    }
    held.set(event.pointerId, now);
  });
  canvas.addEventListener("pointerleave", () => point(-1));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
    if (moves[event.key]) { view.x += moves[event.key][0]; view.y += moves[event.key][1]; }
    else if (event.key === "+" || event.key === "=") zoom(1.3);
    else if (event.key === "-") zoom(1 / 1.3);
    else if (event.key === "0" || event.key === "Home") Object.assign(view, { zoom: 1, x: 0, y: 0 });
    else return;
    event.preventDefault();
    point(nearest(canvas.clientWidth / 2, canvas.clientHeight / 2));
  });
  new ResizeObserver(soon).observe(canvas);
  document.addEventListener("themechange", soon);
  const key = h("p", { className: "row soft", hidden: true });
  // A panel says which records are the visitor's and which are the answer; those beyond the map are left out.
  function mark() {
    const groups = [[marks.answers, "--good", marks.words[1]], [marks.own, "--focus", marks.words[0]]];
    marked = groups.flatMap(([ids, name]) => ids.filter((id) => rows.has(id)).map((id) => [rows.get(id), name]));
    key.replaceChildren(...groups.reverse().map(([, name, text]) => dotted(`var(${name})`, text)));
    key.hidden = !marked.length;
    soon();
  }
  if (rows.size) { document.addEventListener("marked", mark); mark(); }
  const legend = paint.names.length ? h("p", { className: "row soft" }, paint.names.map(([name, colour]) => dotted(colour, name))) : null;
  return h("div", {}, h("div", { className: "map" }, canvas, tip), legend, key,
    h("p", { className: "hint" }, "Drag to move, scroll or pinch to zoom, point at a dot to read it. With the keyboard: arrows, + and −, 0 for the whole map."));
}
