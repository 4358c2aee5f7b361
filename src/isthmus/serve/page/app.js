// The page: a tab for each model, the panel of its domain, the map of codes, and the course of the training.

import { asker, button, get, h, note, told } from "/page/kit.js";
import { courseOf } from "/page/course.js";
import { mapOf } from "/page/map.js";

const THEME = "isthmus-theme";
const main = document.getElementById("main");

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const other = theme === "dark" ? "light" : "dark";
  const button = document.getElementById("theme");
  button.textContent = other === "dark" ? "Dark" : "Light";
  button.setAttribute("aria-label", `Switch to ${other} colours`);
  document.dispatchEvent(new Event("themechange"));
}

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(localStorage.getItem(THEME) || (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", () => { if (!localStorage.getItem(THEME)) setTheme(dark.matches ? "dark" : "light"); });
  document.getElementById("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem(THEME, theme);
    setTheme(theme);
  });
}

function example(model) {
  const examples = {
    recommend: '{"history": [1, 2], "k": 10}',
    search: '{"text": "a sentence", "k": 5}',
    anomalies: '{"vectors": [[1.0, 2.0]]}',
  };
  const action = model.actions.find((name) => name in examples) || model.actions[0] || "models";
  const body = model.domain === "images" ? '{"images": ["BASE64"]}' : examples[action] || "{}";
  return `curl ${location.origin}/v1/${action} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

function forProgrammers(model) {
  return h("details", { className: "card" },
    h("summary", {}, "For programmers"),
    h("p", {}, `This model answers over HTTP: ${model.actions.map((name) => `POST /v1/${name}`).join(", ")}.`),
    h("pre", {}, example(model)),
    h("p", {}, "All requests and answers are described in ", h("a", { href: "/openapi.json" }, "/openapi.json"), "."));
}

async function show(model) {
  document.title = `${model.id} – isthmus`;
  for (const tab of document.querySelectorAll("#models button")) {
    tab.setAttribute("aria-current", String(tab.dataset.model === model.id));
  }
  const ask = asker(model.id);
  const panel = h("div", { id: "panel" });
  const charts = h("div", { id: "charts" });
  main.replaceChildren(panel, charts, forProgrammers(model));
  let words = {};
  try {
    const domain = await import(`/page/panel/${model.domain}.js`);
    words = domain.words || {};
    domain.show(panel, model, ask);
  } catch (error) {
    panel.replaceChildren(note(`There is no panel for ${model.domain}: ${told(error)}`));
  }
  const drawn = model.drawn || [];
  if (drawn.includes("map")) await mapOf(charts, ask, words);
  if (drawn.includes("course")) await courseOf(charts, ask, words);
}

async function start() {
  startTheme();
  try {
    const models = (await get("/v1/models")).data;
    const tabs = document.getElementById("models");
    const named = () => models.find((one) => one.id === decodeURIComponent(location.hash.slice(1)));
    if (models.length > 1) {
      tabs.replaceChildren(...models.map((model) => {
        const tab = button(model.id, () => { location.hash = encodeURIComponent(model.id); });
        tab.dataset.model = model.id;
        return tab;
      }));
      addEventListener("hashchange", () => { if (named()) show(named()); });
    }
    await show(named() || models[0]);
  } catch (error) {
    main.replaceChildren(note(told(error)));
  }
}

start();
