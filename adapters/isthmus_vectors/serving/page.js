// The panel of models of tables: which rows of a table are unusual, and by which columns.

import { area, button, card, count, filePicker, h, note, number, percent, worker } from "/page/kit.js";

export const words = {
  mapTitle: "Map of the rows",
  map: "Every dot is one row of the training data. Rows that the model finds alike lie close together.",
};

const SHOWN = 200;

export function show(root, model, ask) {
  const about = model.about, can = (name) => model.actions.includes(name);
  const results = h("div", { ariaLive: "polite" }, h("p", { className: "soft" }, "Choose a table, or paste some lines."));
  const work = worker(results);
  const names = about.columns || null;
  const pasted = area("Or paste lines", names ? `With a line of names: ${names.slice(0, 8).join(", ")}${names.length > 8 ? ", …" : ""}`
    : `${count(about.width, "number")} in each line, separated by commas.`, "", 6);

  function run(csv) {
    if (!csv.trim()) { results.replaceChildren(note("There is nothing in it.")); return; }
    const lines = csv.trim().split(/\r?\n/);
    const body = lines.length > 1 && /[^\d\s.,;eE+\-"\t]/.test(lines[0]) ? lines.slice(1) : lines;
    work(() => ask("anomalies", { csv, explain: true, columns: 3 }), (found) => table(found, body));
  }

  function table(found, lines) {
    const rows = found.records.map((one, place) => ({ ...one, place, line: lines.length === found.records.length ? lines[place] : "" }));
    const odd = rows.filter((one) => one.anomaly).length;
    rows.sort((a, b) => b.score - a.score);
    const because = rows.some((one) => one.because);
    return [
      h("p", {}, h("strong", {}, `${count(odd, "row")} of ${rows.length.toLocaleString("en")} ${odd === 1 ? "is" : "are"} unusual.`),
        ` Above a score of ${number(found.threshold)} a row counts as unusual; about ${percent(found.contamination)} of normal rows do.`),
      h("div", { className: "scroll", tabIndex: 0 }, h("table", {},
        h("thead", {}, h("tr", {}, h("th", { className: "number" }, "row"), h("th", { className: "number" }, "score"),
          h("th", {}, ""), because ? h("th", {}, "most unusual columns") : null, h("th", {}, "what it says"))),
        h("tbody", {}, rows.slice(0, SHOWN).map((one) => h("tr", { className: one.anomaly ? "odd" : "" },
          h("td", { className: "number" }, String(one.place + 1)),
          h("td", { className: "number" }, number(one.score)),
          h("td", { className: one.anomaly ? "flag" : "" }, one.anomaly ? "unusual" : ""),
          because ? h("td", {}, (one.because || []).map((part) => part.column).join(", ")) : null,
          h("td", { className: "soft" }, one.line.slice(0, 120))))))),
      rows.length > SHOWN ? h("p", { className: "hint" }, `The ${SHOWN} most unusual rows are shown.`) : null].filter(Boolean);
  }

  const reads = names ? `the columns ${names.slice(0, 12).join(", ")}${names.length > 12 ? ", …" : ""}` : `${count(about.width, "number")} in each row`;
  root.append(
    h("div", { className: "lead" },
      h("h1", {}, can("anomalies") ? "Which rows are unusual?" : "What this model does"),
      h("p", {}, `This model has learnt what rows of a table usually look like. It reads ${reads}.`
        + (names ? " Other columns are ignored." : ""))),
    can("anomalies")
      ? h("div", { className: "columns" },
        card("Your table", filePicker("Choose a CSV file …", ".csv,.tsv,.txt,text/csv", async (file) => run(await file.text())),
          h("p", { className: "hint" }, "It is sent to this server only, and not kept."),
          pasted.box, button("Check these lines", () => run(pasted.field.value), "main")),
        h("section", { className: "card" }, h("h2", {}, "Answer"), results))
      : card("", h("p", {}, "It answers programs only; see below.")));
}
