// The panel of recommenders: choose what you like, read what is recommended, and why.

import { button, card, count, fresh, h, later, meter, note, number, percent, slider, told, worker } from "/page/kit.js";
import { markOnMap } from "/page/map.js";

export const words = {
  mapTitle: "Map of the items",
  map: "Every dot is one item. Items that the same people chose lie close together.",
};

const SHOWN = 10;
const MARKED = ["your choices", "what the model suggests"];

export function show(root, model, ask) {
  const about = model.about;
  const liked = new Map();
  const list = h("ul", { className: "chosen", ariaLabel: "What you like" });
  const results = h("div", { ariaLive: "polite" });
  const work = worker(results);
  const heading = h("h2", {}, "Recommended for you");
  const renew = later(120, recommend);
  const varied = slider("Variety", "To the right, the list avoids items that are like each other.",
    ["best matches", "as different as possible"], 100, renew);
  const rare = slider("Leave out what everybody knows", "To the right, popular items are left out, so that you see less known ones.",
    ["everything", "only the less known"], 90, renew);

  function named(item) {
    if (item.title !== null && item.title !== undefined) return item.title;
    // Ids that are texts are often names already.
    return typeof item.id === "string" ? item.id : `Item ${item.id}`;
  }

  function add(item) {
    liked.set(item.id, item);
    draw();
  }

  function draw() {
    list.replaceChildren(...[...liked.values()].map((item) => h("li", {},
      h("span", {}, named(item)),
      button("Remove", () => { liked.delete(item.id); draw(); }, "quiet"))));
    for (const one of list.querySelectorAll("li")) {
      const what = one.firstChild.textContent;
      one.querySelector("button").setAttribute("aria-label", `Remove ${what}`);
    }
    recommend();
  }

  function recommend() {
    if (!liked.size) {
      markOnMap([], [], MARKED);
      heading.textContent = "Popular to begin with";
      work(() => ask("items", { k: SHOWN }), (found) => h("div", {},
        h("p", { className: "soft" }, "Nothing is chosen yet. These are the items that most people chose; add some that you like."),
        h("ol", { className: "results" }, found.items.map((item, place) => h("li", {}, h("div", { className: "result" },
          h("span", { className: "rank" }, String(place + 1)),
          h("span", { className: "title" }, named(item)),
          addButton(item),
          h("span", { className: "detail" }, `chosen by ${count(item.users, "person", "people")}`)))))));
      return;
    }
    heading.textContent = "Recommended for you";
    const question = { history: [...liked.keys()], k: SHOWN, diversity: varied.value(), without_popular: rare.value(),
      explain: true, calibrated: Boolean(about.calibrated) };
    work(() => ask("recommend", question), answer);
  }

  function answer(found) {
    markOnMap([...liked.keys()], found.items.map((one) => one.id), MARKED);
    const remarks = [];
    if (found.popular) remarks.push(note("The model knows none of these items, so these are the most popular ones."));
    if (found.too_little) remarks.push(h("p", { className: "soft" }, unsure(found)));
    else if (found.expected_hits !== null && found.expected_hits !== undefined) {
      remarks.push(h("p", { className: "soft" },
        `Of these ${found.items.length}, about ${number(found.expected_hits, 1)} are expected to be among what you choose next.`));
    }
    if (found.not_explained) remarks.push(h("p", { className: "soft" }, "This kind of model cannot say which of your items led to a recommendation."));
    if (!found.items.length) remarks.push(note("No item is left that may be recommended. Move the sliders to the left."));
    const scores = found.items.map((one) => one.score).filter((one) => one !== null);
    const best = Math.max(...scores, 0), least = Math.min(...scores, 0);
    const share = (score) => (score - least) / (best - least || 1);
    return [...remarks, h("ol", { className: "results" }, found.items.map((item, place) => result(item, place, share(item.score))))];
  }

  function unsure(found) {
    const missing = (about.chances_from || 0) - liked.size;
    return missing > 0
      ? `Choose ${missing === 1 ? "one more item" : `${missing} more items`}, and the list also tells how likely each recommendation is.`
      : `How likely each recommendation is cannot be told: ${found.too_little}.`;
  }

  function result(item, place, share) {
    const more = h("div", { className: "inner", hidden: true, ariaLive: "polite" });
    const toggle = button("More like this", () => similar(item, more, toggle), "quiet");
    toggle.setAttribute("aria-expanded", "false");
    const reasons = (item.because || []).filter((one) => one.score > 0).map(named);
    return h("li", {}, h("div", { className: "result" },
      h("span", { className: "rank" }, String(place + 1)),
      h("span", { className: "title" }, named(item)),
      h("span", { className: "row" }, toggle, addButton(item)),
      meter(share),
      h("span", { className: "detail" },
        h("span", { className: "number", title: "Higher is better; only comparable within this list" }, `score ${number(item.score)}`),
        item.chance === null || item.chance === undefined ? null : h("span", { className: "chance",
          title: "Learnt from people whose choices were hidden from the model" }, ` · ${percent(item.chance)} likely`),
        reasons.length ? ` · because of ${reasons.join("; ")}` : null)), more);
  }

  function addButton(item) {
    const made = button("I like it", () => add(item), "quiet");
    made.setAttribute("aria-label", `I like ${named(item)}`);
    return made;
  }

  async function similar(item, region, toggle) {
    region.hidden = !region.hidden;
    toggle.setAttribute("aria-expanded", String(!region.hidden));
    if (region.hidden || region.childElementCount) return;
    try {
      const found = await ask("similar", { item: item.id, k: 6 });
      const others = found.items.filter((one) => one.id !== item.id).slice(0, 5);
      region.append(h("span", { className: "soft" }, "Most similar:"), h("ol", {}, others.map((one) => h("li", {}, named(one)))));
    } catch (error) {
      region.append(note(told(error)));
    }
  }

  root.append(
    h("div", { className: "lead" },
      h("h1", {}, "What would you like next?"),
      h("p", {}, `This model has seen ${count(about.interactions, "choice")} of ${count(about.users, "person", "people")} among ${count(about.items, "item")}. `
        + "Tell it some things that you like, and it recommends others that people with similar choices liked. You need not be one of them, and nothing that you enter is kept.")),
    h("div", { className: "columns" },
      h("div", {},
        card("What do you like?", finder(ask, named, add), list,
          h("div", { className: "row tools" },
            button("Start over", () => { liked.clear(); draw(); }, "quiet"))),
        card("How should the list be?", varied.box, rare.box)),
      h("section", { className: "card" }, heading, results)));
  draw();
}

// A field with suggestions: type a part of a title, choose with the arrow keys and Enter, or click.
function finder(ask, named, add) {
  const id = fresh("find"), listId = fresh("found");
  const field = h("input", { type: "text", id, autocomplete: "off", spellcheck: false, placeholder: "Type a title" });
  const list = h("ul", { id: listId, hidden: true });
  const said = h("p", { className: "hint", role: "status" }, "Type a part of a title, then choose from the list.");
  for (const [name, value] of [["role", "combobox"], ["aria-expanded", "false"], ["aria-controls", listId], ["aria-autocomplete", "list"]]) {
    field.setAttribute(name, value);
  }
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Matching titles");
  let items = [], at = -1, turn = 0;

  function close() {
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
    at = -1;
  }
  function choose(place) {
    if (!items[place]) return;
    add(items[place]);
    said.textContent = `${named(items[place])} is added.`;
    field.value = "";
    items = [];
    close();
    field.focus();
  }
  function mark(place) {
    at = place;
    [...list.children].forEach((one, index) => one.setAttribute("aria-selected", String(index === at)));
    const own = list.children[at];
    if (own) { field.setAttribute("aria-activedescendant", own.id); own.scrollIntoView({ block: "nearest" }); }
  }
  const look = later(100, async () => {
    const text = field.value.trim(), mine = ++turn;
    if (!text) { close(); return; }
    try {
      const found = (await ask("items", { text, k: 8 })).items;
      if (mine !== turn || field.value.trim() !== text) return;
      items = found;
      list.replaceChildren(...items.map((item, place) => {
        const line = h("li", { id: `${listId}-${place}` }, named(item));
        line.setAttribute("role", "option");
        line.addEventListener("pointerdown", (event) => event.preventDefault());
        line.addEventListener("click", () => choose(place));
        return line;
      }));
      list.hidden = !items.length;
      field.setAttribute("aria-expanded", String(items.length > 0));
      said.textContent = items.length ? `${count(items.length, "match", "matches")}; the best one first.` : `No title is like “${text}”.`;
      if (items.length) mark(0);
    } catch (error) {
      said.textContent = told(error);
    }
  });
  field.addEventListener("input", look);
  field.addEventListener("blur", () => setTimeout(close, 150));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter") { event.preventDefault(); choose(Math.max(at, 0)); }
    else if (event.key === "ArrowDown" && items.length) { event.preventDefault(); list.hidden = false; mark((at + 1) % items.length); }
    else if (event.key === "ArrowUp" && items.length) { event.preventDefault(); mark((at + items.length - 1) % items.length); }
  });
  return h("div", {}, h("label", { htmlFor: id }, "Title"), h("div", { className: "combo" }, field, list), said);
}
