// The panel of text autoencoders: search by meaning, write back, go from one sentence to another, invent, find odd ones.

import { area, button, card, count, h, meter, note, number, percent, worker } from "/page/kit.js";

export const words = {
  mapTitle: "Map of the texts",
  map: "Every dot is one text. Texts that the model finds alike lie close together.",
  loss: "Effort to write the training texts, in nats (lower is better)",
};

export function show(root, model, ask) {
  const about = model.about, can = (name) => model.actions.includes(name);
  const results = h("div", { ariaLive: "polite" }, h("p", { className: "soft" }, "Write something and choose what to do with it."));
  const work = worker(results);
  const text = area("Text", "One sentence works best; long texts are read up to a limit.", "", 3);
  const other = area("Second text", "For the way from one text to the other.", "", 2);

  function asked(then) {
    return () => {
      const value = text.field.value.trim();
      if (!value) { results.replaceChildren(note("Write a text first.")); text.field.focus(); return; }
      then(value);
    };
  }
  function lines(title, about, texts) {
    return [h("h3", {}, title), h("p", { className: "soft" }, about),
      h("ol", { className: "results" }, texts.map((one, place) => h("li", {}, h("div", { className: "result" },
        h("span", { className: "rank" }, String(place + 1)), h("span", { className: "title" }, one || "(empty)")))))];
  }
  const nearest = asked((value) => work(() => ask("search", { text: value, k: 10 }), (found) => {
    const hits = found.answers[0].found;
    return [h("h3", {}, "Nearest texts"),
      h("p", { className: "soft" }, "From the texts that the model learnt from, the most alike first. The bar says how many random pairs of texts are less alike than these two."),
      h("ol", { className: "results" }, hits.map((hit, place) => h("li", {}, h("div", { className: "result" },
        h("span", { className: "rank" }, String(place + 1)),
        h("span", { className: "title" }, hit.item), h("span", {}),
        hit.percentile === null ? null : meter(hit.percentile / 100),
        h("span", { className: "detail" }, `likeness ${number(hit.score)}`,
          hit.percentile === null ? null : ` · more alike than ${hit.percentile > 99 ? "over 99 %" : percent(hit.percentile / 100)} of random pairs`)))))];
  }));
  const back = asked((value) => work(() => ask("reconstruct", { texts: [value] }), (found) =>
    lines("Written back", `The text was squeezed into ${count(about.code, "number")} and written again from these alone. What is lost, the numbers do not hold.`, found.texts)));
  const odd = asked((value) => work(() => ask("anomalies", { texts: value.split("\n").map((one) => one.trim()).filter(Boolean) }), (found) =>
    [h("h3", {}, "How unusual is it?"),
      h("p", { className: "soft" }, `A text counts as unusual above ${number(found.threshold)}; about ${percent(found.contamination)} of normal texts do.`),
      h("ul", { className: "results" }, found.records.map((one) => h("li", {},
        h("span", { className: one.anomaly ? "flag" : "" }, one.anomaly ? "Unusual. " : "Nothing unusual. "),
        `Score ${number(one.score)}; ${percent(one.p)} of normal texts score as high.`)))]));
  const between = asked((value) => {
    const second = other.field.value.trim();
    if (!second) { results.replaceChildren(note("Write a second text, too.")); other.field.focus(); return; }
    work(() => ask("interpolate", { a: value, b: second, steps: 7 }), (found) =>
      lines("From one text to the other", "Each line is written from numbers a little nearer to the second text.", found.texts));
  });
  let seed = 0;
  const invent = () => work(() => ask("sample", { n: 8, seed: (seed += 1) }), (found) =>
    lines("Invented texts", "Written from random numbers: this is what the model takes for normal texts.", found.texts));

  text.field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) (can("search") ? nearest : back)();
  });
  root.append(
    h("div", { className: "lead" },
      h("h1", {}, "What is this text like?"),
      h("p", {}, `This model turns a text into ${count(about.code, "number")} and can write texts from such numbers. `
        + (about.searchable ? `It knows ${count(about.searchable, "text")} to compare with.` : ""))),
    h("div", { className: "columns" },
      h("div", {},
        card("Your text", text.box,
          h("div", { className: "row" },
            can("search") ? button("Find the nearest", nearest, "main") : null,
            button("Write it back", back),
            can("anomalies") ? button("Is it unusual?", odd) : null)),
        card("Between two texts", other.box, h("div", { className: "row" }, button("Show the way", between))),
        card("Out of nothing", h("p", { className: "hint" }, "Let the model invent texts."), button("Invent some", invent))),
      h("section", { className: "card" }, h("h2", {}, "Answer"), results)));
}
