// The page: an editor, its buttons, and the runs. Talks to the gateway by connection.js only.

import { Connection } from "./connection.js";
import { Output } from "./output.js";

const EXAMPLES = {
  python: {
    "Hello": 'print("Hello from a real Jupyter kernel")\nsum(range(10))\n',
    "Output as it comes": 'import time\n\nfor i in range(10):\n    print("step", i, flush=True)\n    time.sleep(0.3)\n',
    "Plot": 'import numpy as np\nimport matplotlib.pyplot as plt\n\nx = np.linspace(0, 4 * np.pi, 400)\nplt.figure(figsize=(7, 3.5))\nplt.plot(x, np.sin(x), label="sin")\nplt.plot(x, np.cos(x) * np.exp(-x / 6), label="damped cos")\nplt.legend()\nplt.show()\n',
    "Table": 'import pandas as pd\n\npd.DataFrame({"city": ["Oslo", "Lima", "Pune"], "people": [717_710, 10_092_000, 3_124_458]})\n',
    "Question": 'name = input("What is your name? ")\nprint(f"Hello, {name}!")\n',
    "Error": 'def half(n):\n    return n / 0\n\nhalf(3)\n',
  },
};
const INDENT = "    ";

const $ = (id) => document.getElementById(id);
const ui = Object.fromEntries(
  ["status", "language", "example", "code", "run", "stop", "restart", "clear", "runs", "token"].map((id) => [id, $(id)]),
);
const store = sessionStorage;
const live = new Map(); // execution id -> {output, context, code, stopped}
const contexts = new Map(); // language -> context id of its last run

// --- the token: from the address once, then only in this tab ----------------------------------

function takeToken() {
  const url = new URL(location.href);
  const token = url.searchParams.get("token");
  if (token) {
    store.setItem("kernelbridge.token", token);
    url.searchParams.delete("token");
    history.replaceState(null, "", url);
  }
  return store.getItem("kernelbridge.token");
}

const WORDS = {
  connecting: "connecting",
  connected: "connected",
  offline: "offline, trying again",
  refused: "needs a token",
};

const connection = new Connection(takeToken(), (state) => {
  ui.status.dataset.state = state;
  ui.status.textContent = WORDS[state];
  if (state === "connected") onConnected();
  if (state === "refused" && !$("ask-token").open) $("ask-token").showModal();
  refresh();
});

$("ask-token").addEventListener("close", () => {
  store.setItem("kernelbridge.token", ui.token.value.trim());
  ui.token.value = "";
  connection.setToken(store.getItem("kernelbridge.token"));
});

// --- languages and examples -------------------------------------------------------------------

/** The first kernelspec of a language goes by the language's name, which shares its default context. */
function names(specs) {
  const taken = new Set();
  const python3 = specs.some((spec) => spec.name === "python3");
  return specs.map((spec) => {
    const other = spec.language === "python" && python3 && spec.name !== "python3";
    const name = taken.has(spec.language) || other ? spec.name : spec.language;
    taken.add(name);
    return { name, language: spec.language, label: spec.display_name };
  });
}

async function onConnected() {
  if (ui.language.options.length) return;
  const { kernelspecs } = await connection.request("list_kernelspecs");
  for (const { name, language, label } of names(kernelspecs)) {
    const option = new Option(label, name);
    option.dataset.language = language;
    ui.language.add(option);
  }
  ui.language.value = store.getItem("kernelbridge.language") ?? "python";
  if (ui.language.selectedIndex < 0) ui.language.selectedIndex = 0;
  onLanguage();
  resume();
}

function onLanguage() {
  const language = ui.language.selectedOptions[0]?.dataset.language;
  store.setItem("kernelbridge.language", ui.language.value);
  ui.example.replaceChildren(new Option("choose…", ""));
  for (const name of Object.keys(EXAMPLES[language] ?? {})) ui.example.add(new Option(name));
  ui.example.disabled = ui.example.options.length === 1;
  refresh();
}

ui.language.addEventListener("change", onLanguage);
ui.example.addEventListener("change", () => {
  const language = ui.language.selectedOptions[0]?.dataset.language;
  const text = EXAMPLES[language]?.[ui.example.value];
  if (text) setCode(text);
  ui.example.value = "";
  ui.code.focus();
});

// --- the editor -------------------------------------------------------------------------------

function setCode(text) {
  ui.code.value = text;
  store.setItem("kernelbridge.code", text);
}

/** Indent at the caret, or all selected lines by one step, or back. */
function indent(back) {
  const { selectionStart: start, selectionEnd: end, value } = ui.code;
  if (start === end && !back) {
    document.execCommand("insertText", false, INDENT); // keeps undo
    return;
  }
  const from = value.lastIndexOf("\n", start - 1) + 1;
  const lines = value.slice(from, end).split("\n");
  const changed = lines.map((line) => (back ? line.replace(/^ {1,4}/, "") : INDENT + line)).join("\n");
  ui.code.setSelectionRange(from, end);
  document.execCommand("insertText", false, changed);
  ui.code.setSelectionRange(start === end ? from + changed.length : from, from + changed.length);
}

let leaving = false; // Escape was pressed: Tab moves on
ui.code.addEventListener("keydown", (event) => {
  if (event.key === "Tab" && !leaving) {
    event.preventDefault();
    indent(event.shiftKey);
  }
  leaving = event.key === "Escape";
});
ui.code.addEventListener("input", () => store.setItem("kernelbridge.code", ui.code.value));
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.shiftKey) && !ui.run.disabled) {
    if (event.target.closest?.(".run")) return;
    event.preventDefault();
    run();
  }
});

// --- running ----------------------------------------------------------------------------------

function refresh() {
  const ready = connection.connected && ui.language.selectedIndex >= 0;
  ui.language.disabled = ui.run.disabled = !ready;
  ui.restart.disabled = !ready;
  ui.stop.disabled = !ready || !live.size;
  ui.stop.textContent = [...live.values()].some((each) => each.stopped) ? "Stop now" : "Stop";
}

/** For a reload: what this tab follows. */
function remember() {
  const kept = [...live].map(([execution, { context, code }]) => ({ execution, context, code }));
  store.setItem("kernelbridge.live", JSON.stringify(kept));
  refresh();
}

function addRun(code) {
  let execution = null;
  const output = new Output(code, (value) => {
    connection.request("input", { execution, value }).catch((error) => output.fail(error.message));
  });
  document.querySelector("#runs > .hint")?.remove();
  ui.runs.append(output.node);
  follow();
  return {
    output,
    onStart(answer) {
      execution = answer.execution;
      live.set(execution, { output, context: answer.context, code, stopped: false });
      remember();
    },
    onEvent(event) {
      const bottom = atBottom();
      output.show(event);
      if (bottom) follow();
      if (event.event === "done" || event.event === "lost") {
        live.delete(execution);
        remember();
      }
    },
  };
}

async function run() {
  const code = ui.code.value;
  const language = ui.language.value;
  const shown = addRun(code);
  const onStart = (answer) => {
    contexts.set(language, answer.context);
    shown.onStart(answer);
  };
  try {
    await connection.execute({ code, language, stdin: true }, onStart, shown.onEvent);
  } catch (error) {
    shown.output.fail(error.message);
  }
}

/** After a reload: follow what this tab had started and what still runs. */
function resume() {
  for (const { execution, context, code } of JSON.parse(store.getItem("kernelbridge.live") ?? "[]")) {
    if (live.has(execution)) continue;
    const shown = addRun(code);
    shown.onStart({ execution, context });
    connection.attach(execution, shown.onEvent);
  }
}

/** Interrupt all that this tab started, the last one first; asked again, kill what goes on. */
function stop() {
  for (const [execution, each] of [...live].reverse()) {
    const keys = each.stopped ? { kill_after_ms: 1 } : {};
    each.stopped = true;
    connection.request("interrupt", { execution, ...keys }).catch(() => {});
  }
  refresh();
}

async function restart() {
  const language = ui.language.value;
  ui.restart.disabled = true;
  ui.restart.textContent = "Restarting…";
  try {
    const { contexts: all } = await connection.request("list_contexts", { sandbox: "default" });
    const found = all.find((each) => each.context === contexts.get(language)) ??
      all.find((each) => each.default && each.language === language);
    if (found) await connection.request("restart_context", { context: found.context });
  } catch (error) {
    addRun("restart").output.fail(error.message);
  }
  ui.restart.textContent = "Restart kernel";
  refresh();
}

// --- the transcript ---------------------------------------------------------------------------

function atBottom() {
  return ui.runs.scrollHeight - ui.runs.scrollTop - ui.runs.clientHeight < 40;
}

function follow() {
  ui.runs.scrollTop = ui.runs.scrollHeight;
}

ui.runs.addEventListener("load", follow, true); // images
ui.run.addEventListener("click", run);
ui.stop.addEventListener("click", stop);
ui.restart.addEventListener("click", restart);
ui.clear.addEventListener("click", () => {
  const kept = new Set([...live.values()].map(({ output }) => output.node));
  for (const node of [...ui.runs.children]) if (!kept.has(node)) node.remove();
});

setCode(store.getItem("kernelbridge.code") ?? EXAMPLES.python.Hello);
connection.open();
