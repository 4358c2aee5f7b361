// What all panels share: elements, requests, and small controls. Text from the server is only ever set as text.

const TOKEN = "isthmus-token";

export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

export class Refused extends Error {}

function headers(more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

async function answered(response, again) {
  if (response.status === 401 && (await askForToken())) return again();
  const document = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(document.detail || document.title || `The server answered ${response.status}`);
  return document;
}

export async function get(path) {
  return answered(await fetch(path, { headers: headers() }), () => get(path));
}

// Ask one model: the name of an action, and a document.
export function asker(model) {
  return async function ask(action, body = {}) {
    const response = await fetch(`/v1/${action}`, {
      method: "POST",
      headers: headers({ "Content-Type": "application/json" }),
      body: JSON.stringify({ model, ...body }),
    });
    return answered(response, () => ask(action, body));
  };
}

let asking = null;
function askForToken() {
  asking ??= new Promise((done) => {
    const field = h("input", { type: "password", id: "token", autocomplete: "off" });
    const form = h("form", { className: "card" },
      h("h2", {}, "This server asks for a token"),
      h("label", { htmlFor: "token" }, "Token"), field,
      h("p", { className: "hint" }, "Whoever started the server set it. It is kept until you close this tab."),
      h("div", { className: "row tools" }, h("button", { type: "submit", className: "main" }, "Continue")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(TOKEN, field.value.trim());
      form.remove();
      asking = null;
      done(true);
    });
    document.getElementById("main").prepend(form);
    field.focus();
  });
  return asking;
}

// Run something slow with a region marked as busy; a refusal is written into it. Only the last call may write.
export function worker(region) {
  let turn = 0;
  return async function work(job, show) {
    const mine = ++turn;
    region.setAttribute("aria-busy", "true");
    region.classList.add("busy");
    try {
      const found = await job();
      if (mine === turn) region.replaceChildren(...[show(found)].flat());
    } catch (error) {
      if (mine === turn) region.replaceChildren(note(told(error)));
    } finally {
      if (mine === turn) {
        region.setAttribute("aria-busy", "false");
        region.classList.remove("busy");
      }
    }
  };
}

export function told(error) {
  return error instanceof Refused ? error.message : `The server cannot be reached (${error.message}).`;
}

export function note(text) {
  return h("p", { className: "note", role: "status" }, text);
}

export function later(milliseconds, action) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), milliseconds);
  };
}

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(1);
  return value.toLocaleString("en", { maximumFractionDigits: size >= 100 ? 0 : digits });
}

export function count(value, one, many = `${one}s`) {
  return `${value.toLocaleString("en")} ${value === 1 ? one : many}`;
}

export function percent(share) {
  if (share === null || share === undefined) return "–";
  if (share > 0 && share < 0.01) return "under 1 %";
  if (share > 0.99 && share < 1) return "over 99 %";
  return `${Math.round(100 * share)} %`;
}

export function meter(share) {
  const bar = h("span");
  bar.style.width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`;
  return h("div", { className: "meter", "aria-hidden": "true" }, bar);
}

let made = 0;
export function fresh(prefix) {
  made += 1;
  return `${prefix}-${made}`;
}

export function slider(label, hint, ends, most, changed) {
  const id = fresh("slider");
  const input = h("input", { type: "range", id, min: "0", max: String(most), step: "5", value: "0" });
  input.addEventListener("input", () => changed());
  const box = h("div", { className: "slider" },
    h("label", { htmlFor: id }, label), input,
    h("div", { className: "ends", "aria-hidden": "true" }, h("span", {}, ends[0]), h("span", {}, ends[1])),
    h("p", { className: "hint" }, hint));
  return { box, value: () => Number(input.value) / 100 };
}

export function area(label, hint, value = "", rows = 3) {
  const id = fresh("text");
  const field = h("textarea", { id, rows, value });
  return { field, box: h("div", {}, h("label", { htmlFor: id }, label), field, h("p", { className: "hint" }, hint)) };
}

export function filePicker(text, accept, picked) {
  const input = h("input", { type: "file", accept });
  input.addEventListener("change", () => { if (input.files[0]) picked(input.files[0]); input.value = ""; });
  return h("label", { className: "file" }, text, input);
}

export function button(text, clicked, className = "") {
  return h("button", { type: "button", className, onclick: clicked }, text);
}

export function card(title, ...children) {
  return h("section", { className: "card" }, title ? h("h2", {}, title) : null, ...children);
}

export function pictures(images, captions = []) {
  return h("div", { className: "pictures" }, images.map((source, place) => h("figure", {},
    h("img", { src: source, alt: captions[place] || `picture ${place + 1}` }),
    captions[place] ? h("figcaption", {}, captions[place]) : null)));
}
