// The course of the training: what was tried, and curves of the scores.

import { card, h, note, number, told } from "/page/kit.js";

const SVG = "http://www.w3.org/2000/svg";

function s(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

export async function courseOf(region, ask, words) {
  const box = card("How it was trained");
  region.append(box);
  try {
    const found = await ask("course");
    const steps = new Set(found.records.map((one) => one.phase));
    // The records of a blend are its parts, each trained on its own.
    const isParts = found.records.length > 1 && steps.size === found.records.length;
    const parts = found.tried.length ? tried(found) : isParts ? ofParts(found) : curves(found, words);
    if (parts.length) box.append(...parts);
    else box.append(h("p", { className: "soft" },
      "This model was computed in one step, so there is no curve of a training to show."));
  } catch (error) {
    box.append(note(told(error)));
  }
}

function tried(found) {
  const metric = found.metric;
  const lines = found.tried.filter((one) => typeof one[metric] === "number");
  if (lines.length < 2) return [];
  lines.sort((a, b) => b[metric] - a[metric]);
  return [
    h("p", {}, `Several models were tried on data that was held back. The score ${metric} says how well each did; higher is better. The first one is used here.`),
    table(lines.map((one) => [one.model, one[metric]]), metric)];
}

function ofParts(found) {
  const metric = found.metric;
  return [
    h("p", {}, `This model was put together in ${found.records.length} steps. The score ${metric}, on data that was held back, says how well each did; higher is better.`),
    table(found.records.map((one) => [one.phase, one[metric]]), metric)];
}

function table(lines, metric) {
  return h("div", { className: "scroll narrow" }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", {}, "model"), h("th", { className: "number" }, metric))),
    h("tbody", {}, lines.map(([name, score]) => h("tr", {}, h("td", {}, String(name).replaceAll("_", "-")),
      h("td", { className: "number" }, typeof score === "number" ? score.toFixed(4) : number(score)))))));
}

function curves(found, words) {
  const made = [];
  const names = [["loss", words.loss || "Error on the training data (lower is better)"]];
  if (found.metric) names.unshift([found.metric, `${found.metric === "objective" ? "Score" : found.metric} on data that was held back (higher is better)`]);
  for (const [name, title] of names) {
    const points = found.records.filter((one) => Number.isFinite(one[name])).map((one) => [one.epoch, one[name]]);
    if (points.length > 1) made.push(curve(points, title, name === found.metric ? found.best_epoch : null));
  }
  if (made.length) made.unshift(h("p", {}, `The model went through the data ${found.records.length} times. Each point is one pass.`));
  return made;
}

function curve(points, title, best) {
  const width = 480, height = 190, left = 62, bottom = 30, top = 12, right = 30;
  const xs = points.map((one) => one[0]), ys = points.map((one) => one[1]);
  const range = (all) => { const low = Math.min(...all), high = Math.max(...all); return [low, high > low ? high : low + 1]; };
  const [x0, x1] = range(xs), [y0, y1] = range(ys);
  const x = (value) => left + (width - left - right) * (value - x0) / (x1 - x0);
  const y = (value) => top + (height - top - bottom) * (y1 - value) / (y1 - y0);
  const chart = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img",
    "aria-label": `${title}: from ${number(ys[0])} to ${number(ys[ys.length - 1])}` });
  for (const value of [y0, (y0 + y1) / 2, y1]) {
    chart.append(s("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "axis" }),
      s("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  for (const value of new Set([x0, x1])) chart.append(s("text", { x: x(value), y: height - 8, "text-anchor": "middle" }, `pass ${value}`));
  chart.append(s("polyline", { points: points.map(([a, b]) => `${x(a)},${y(b)}`).join(" "), class: "curve" }));
  const chosen = points.find(([epoch]) => epoch === best);
  if (chosen) chart.append(s("circle", { cx: x(chosen[0]), cy: y(chosen[1]), r: 5, class: "dot" }));
  return h("figure", { className: "figure" }, h("figcaption", {}, title + (chosen ? "; the dot marks the pass that was kept" : "")), chart);
}
