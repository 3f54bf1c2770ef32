// What one run shows: its events as elements. Nothing that code prints becomes HTML of this page.

import { Terminal } from "./terminal.js";

const SHOWN_MAX = 1 << 20; // characters of a stream that stay in the page
const IMAGES = ["image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp"];
const TEXTS = ["text/markdown", "text/latex", "text/plain"];
const FRAME_MAX = 640; // px

const displays = new Map(); // display id -> elements that show it, in any run

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function asText(value) {
  return Array.isArray(value) ? value.join("") : String(value);
}

function image(type, value) {
  const text = asText(value);
  const src = type === "image/svg+xml"
    ? `data:${type};charset=utf-8,${encodeURIComponent(text)}`
    : `data:${type};base64,${text.replace(/\s/g, "")}`;
  return element("img", { src, alt: "output image" });
}

// frame.html has an origin of its own, runs no script of this page and reaches no network.
function frame(html) {
  const box = element("iframe", { src: "/playground/frame.html", title: "HTML output" });
  box.setAttribute("sandbox", "allow-scripts");
  box.addEventListener("load", () => box.contentWindow.postMessage({ html }, "*"), { once: true });
  addEventListener("message", function resize(event) {
    if (!box.isConnected) removeEventListener("message", resize);
    else if (event.source === box.contentWindow && Number.isFinite(event.data?.height))
      box.style.height = `${Math.min(Math.ceil(event.data.height) + 2, FRAME_MAX)}px`;
  });
  return box;
}

function ansi(className, text) {
  const pre = element("pre", { className });
  new Terminal(pre).write(text);
  return pre;
}

function best(bundle) {
  if ("text/html" in bundle) return frame(asText(bundle["text/html"]));
  for (const type of IMAGES) if (type in bundle) return image(type, bundle[type]);
  if ("application/json" in bundle && !("text/plain" in bundle))
    return element("pre", { textContent: JSON.stringify(bundle["application/json"], null, 2) });
  for (const type of TEXTS) if (type in bundle) return ansi("text", asText(bundle[type]));
  return element("pre", { className: "note", textContent: Object.keys(bundle).join(", ") });
}

/** One run: a header with its code and state, and its outputs. */
export class Output {
  #streams = null; // {kind, terminal} while one stream goes on
  #clearNext = false;
  #how = element("span", { className: "how", textContent: "sent" });
  #count = element("span", { className: "count", textContent: "[ ]" });
  #body = element("div", { className: "body" });

  /** onInput(value) sends what the user typed, onInput(null) the end of file. */
  constructor(code, onInput) {
    const first = code.trim().split("\n", 1)[0] || "(empty)";
    this.onInput = onInput;
    this.node = element("article", { className: "run" });
    this.node.dataset.state = "sent";
    this.node.append(
      element("header", {}, this.#count,
        element("code", { textContent: first, title: code }), this.#how),
      this.#body,
    );
  }

  /** Show one event of the API, or {event: "lost", message}. */
  show(event) {
    if (event.missing) this.#note(`${event.missing} events are no longer kept by the gateway`);
    this[`_${event.event}`]?.(event);
  }

  fail(message) {
    this.#note(message);
    this.#finish("refused", "refused");
  }

  _accepted({ position }) {
    this.#state("queued", position ? `waits for ${position}` : "queued");
  }

  _started({ count }) {
    this.#count.textContent = `[${count}]`;
    this.#state("running", "running");
  }

  _stdout({ text }) {
    this.#stream("stdout", text);
  }

  _stderr({ text }) {
    this.#stream("stderr", text);
  }

  _cut({ bytes }) {
    this.#note(`${bytes} bytes of output were cut here, as they were not read in time`);
  }

  _result({ bundle }) {
    this.#add("result", best(bundle));
  }

  _display({ bundle, display_id: id }) {
    const box = this.#add("display", best(bundle));
    if (id) displays.set(id, [...(displays.get(id) ?? []), box]);
  }

  _update({ bundle, display_id: id }) {
    for (const box of displays.get(id) ?? []) box.replaceChildren(best(bundle));
  }

  _clear({ wait }) {
    if (wait) this.#clearNext = true;
    else this.#clear();
  }

  _error({ name, value, traceback, plain }) {
    const text = traceback.length ? traceback.join("\n") : plain?.traceback || `${name}: ${value}`;
    const box = this.#add("error", ansi("traceback", text));
    box.prepend(element("p", {}, element("strong", { textContent: name || "Error" }), value && ` ${value}`));
  }

  _input({ prompt, password }) {
    const field = element("input", { type: password ? "password" : "text", autocomplete: "off" });
    const form = element("form", {}, element("label", {}, prompt || "input ", field),
      element("button", { textContent: "Send" }));
    const box = this.#add("input", form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      box.replaceChildren(element("pre", { textContent: prompt + (password ? "••••" : field.value) }));
      this.onInput(field.value);
    });
    field.focus();
    this.#state("waiting", "waits for input");
  }

  _done({ how, elapsed_ms: ms, why }) {
    const took = ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
    this.#body.querySelectorAll(".input form").forEach((form) => form.remove());
    if (why && how !== "kernel_died") this.#note(why);
    this.#finish(how, how === "ok" ? took : `${how.replace("_", " ")} · ${took}`);
  }

  _lost({ message }) {
    this.#note(`the rest of the output is lost: ${message}`);
    this.#finish("lost", "lost");
  }

  #state(state, text) {
    this.node.dataset.state = state;
    this.#how.textContent = text;
  }

  #finish(how, text) {
    this.#state("done", text);
    this.node.dataset.how = how;
  }

  #clear() {
    this.#body.replaceChildren();
    this.#streams = null;
    this.#clearNext = false;
  }

  #add(className, ...children) {
    if (this.#clearNext) this.#clear();
    if (this.node.dataset.state === "waiting") this.#state("running", "running");
    const box = element("div", { className }, ...children);
    this.#streams = null;
    this.#body.append(box);
    return box;
  }

  #note(text) {
    this.#add("note", text);
  }

  #stream(kind, text) {
    if (this.#clearNext) this.#clear();
    if (this.#streams?.kind !== kind) {
      const pre = element("pre");
      this.#add(kind, pre);
      this.#streams = { kind, terminal: new Terminal(pre) };
    }
    const { terminal } = this.#streams;
    terminal.write(text);
    if (terminal.trim(SHOWN_MAX)) terminal.pre.parentElement.classList.add("cut");
  }
}
