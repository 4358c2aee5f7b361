// The panel of image autoencoders: neighbours of an upload, cleaning and drawing it again, invented images.

import { button, card, count, filePicker, h, note, number, percent, pictures, worker } from "/page/kit.js";

export const words = {
  mapTitle: "Map of the images",
  map: "Every dot is one image. Images that the model finds alike lie close together.",
};

export function show(root, model, ask) {
  const about = model.about, can = (name) => model.actions.includes(name);
  const results = h("div", { ariaLive: "polite" }, h("p", { className: "soft" }, "Choose an image, and then what to do with it."));
  const work = worker(results);
  const preview = h("div", {});
  let image = null;

  function read(file) {
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      image = reader.result;
      preview.replaceChildren(pictures([image], [file.name]));
      (can("search") ? nearest : clean)();
    });
    reader.readAsDataURL(file);
  }
  function asked(then) {
    return () => {
      if (image === null) { results.replaceChildren(note("Choose an image first.")); return; }
      then();
    };
  }
  const nearest = asked(() => work(() => ask("search", { images: [image], k: 12, pictures: true }), (found) => {
    const hits = found.answers[0].found;
    return [h("h3", {}, "Nearest images"),
      h("p", { className: "soft" }, "From the images that the model learnt from, the most alike first. The model does not keep images, so these are drawn from memory."),
      pictures(hits.map((hit) => hit.image), hits.map((hit) => [hit.label, hit.item].filter(Boolean).join(" · ")))];
  }));
  const clean = asked(() => work(() => ask("denoise", { images: [image] }), (found) =>
    [h("h3", {}, "Without noise"),
      h("p", { className: "soft" }, "What the model read, and what it takes for the image behind it."),
      pictures([...found.read, ...found.images], found.read.length ? ["as read", "cleaned"] : ["cleaned"])]));
  const again = asked(() => work(() => ask("reconstruct", { images: [image] }), (found) =>
    [h("h3", {}, "Drawn again"),
      h("p", { className: "soft" }, `The image was squeezed into ${count(about.code, "number")} and drawn from these alone.`),
      pictures(found.images, ["drawn again"])]));
  const odd = asked(() => work(() => ask("anomalies", { images: [image] }), (found) => {
    const one = found.records[0];
    return [h("h3", {}, "How unusual is it?"),
      h("p", {}, h("span", { className: one.anomaly ? "flag" : "" }, one.anomaly ? "Unusual. " : "Nothing unusual. "),
        `Score ${number(one.score)}, and unusual above ${number(found.threshold)}; ${percent(one.p)} of normal images score as high.`)];
  }));
  let seed = 0;
  const invent = () => work(() => ask("sample", { n: 12, seed: (seed += 1) }), (found) =>
    [h("h3", {}, "Invented images"),
      h("p", { className: "soft" }, "Drawn from random numbers: this is what the model takes for normal images."), pictures(found.images)]);

  root.append(
    h("div", { className: "lead" },
      h("h1", {}, "What does the model see?"),
      h("p", {}, `This model reads images of ${about.size[1]} × ${about.size[0]} pixels${about.channels === 1 ? " in grey" : " in colour"}; others are scaled. `
        + (about.code ? `It turns each into ${count(about.code, "number")}. ` : "")
        + (about.searchable ? `It knows ${count(about.searchable, "image")} to compare with.` : ""))),
    h("div", { className: "columns" },
      h("div", {},
        card("Your image", filePicker("Choose an image …", "image/*", read),
          h("p", { className: "hint" }, "It is sent to this server only, and not kept."), preview,
          h("div", { className: "row" },
            can("search") ? button("Find the nearest", nearest, "main") : null,
            can("denoise") ? button("Remove noise", clean) : null,
            can("reconstruct") ? button("Draw it again", again) : null,
            can("anomalies") ? button("Is it unusual?", odd) : null)),
        can("sample") ? card("Out of nothing", h("p", { className: "hint" }, "Let the model invent images."), button("Invent some", invent)) : null),
      h("section", { className: "card" }, h("h2", {}, "Answer"), results)));
}
