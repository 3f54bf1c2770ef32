// Text as a terminal shows it, in a <pre>: colours, and a carriage return that starts the line again.

const SPECIAL = /\r\n|\r|\n|\x1b\[[0-9;?]*[ -/]*[@-~]/g;
const UNFINISHED = /(?:\r|\x1b(?:\[[0-9;?]*)?)$/;
const LEVELS = [0, 95, 135, 175, 215, 255];

/** CSS colour of one of xterm's 256; the first 16 are the page's own. */
function colour(n) {
  if (n < 16) return `var(--ansi-${n})`;
  if (n > 231) return `rgb(${Array(3).fill(8 + 10 * (n - 232))})`;
  const c = n - 16;
  return `rgb(${[c / 36, c / 6, c].map((v) => LEVELS[Math.floor(v) % 6])})`;
}

/** The style after the numbers of one "select graphic rendition" sequence. */
function rendition(style, numbers) {
  let s = { ...style };
  for (let i = 0; i < numbers.length; i++) {
    const n = numbers[i];
    if (n === 0) s = {};
    else if (n === 1) s.bold = true;
    else if (n === 3) s.italic = true;
    else if (n === 4) s.underline = true;
    else if (n === 22) s.bold = false;
    else if (n >= 30 && n <= 37) s.colour = colour(n - 30);
    else if (n >= 90 && n <= 97) s.colour = colour(n - 82);
    else if (n === 39) s.colour = undefined;
    else if ((n === 38 || n === 48) && numbers[i + 1] === 5) {
      if (n === 38) s.colour = colour(numbers[i + 2] ?? 0);
      i += 2;
    } else if ((n === 38 || n === 48) && numbers[i + 1] === 2) {
      if (n === 38) s.colour = `rgb(${numbers.slice(i + 2, i + 5)})`;
      i += 4;
    }
  }
  return s;
}

export class Terminal {
  #held = ""; // the start of something that is not complete
  #style = {};
  #line = []; // nodes of the last line
  length = 0; // characters shown

  constructor(pre) {
    this.pre = pre;
  }

  write(text) {
    let all = this.#held + text;
    this.#held = UNFINISHED.exec(all)?.[0] ?? "";
    if (this.#held) all = all.slice(0, -this.#held.length);
    if (!/\x1b|\r(?!\n)/.test(all) && !Object.keys(this.#style).length) {
      this.#plain(all.replaceAll("\r\n", "\n"));
      return;
    }
    let from = 0;
    for (const { 0: found, index } of all.matchAll(SPECIAL)) {
      this.#add(all.slice(from, index));
      from = index + found.length;
      if (found === "\r") this.#restart();
      else if (found[0] !== "\x1b") this.#newline();
      else if (found.endsWith("m")) this.#style = rendition(this.#style, found.slice(2, -1).split(";").map(Number));
    }
    this.#add(all.slice(from));
  }

  /** Drop the oldest text until at most max characters are shown; true if some went. */
  trim(max) {
    let cut = false;
    while (this.length > max && this.pre.firstChild !== this.pre.lastChild) {
      this.length -= this.pre.firstChild.textContent.length;
      this.pre.firstChild.remove();
      cut = true;
    }
    return cut;
  }

  #plain(text) {
    const end = text.lastIndexOf("\n") + 1;
    if (end) {
      this.#add(text.slice(0, end));
      this.#line = [];
    }
    this.#add(text.slice(end));
  }

  #newline() {
    this.#add("\n");
    this.#line = [];
  }

  #restart() {
    for (const node of this.#line) {
      this.length -= node.textContent.length;
      node.remove();
    }
    this.#line = [];
  }

  #add(text) {
    if (!text) return;
    let node = document.createTextNode(text);
    const { colour: color, bold, italic, underline } = this.#style;
    if (color || bold || italic || underline) {
      const span = document.createElement("span");
      span.append(node);
      if (color) span.style.color = color;
      span.classList.toggle("bold", Boolean(bold));
      span.classList.toggle("italic", Boolean(italic));
      span.classList.toggle("underline", Boolean(underline));
      node = span;
    }
    this.length += text.length;
    this.#line.push(node);
    this.pre.append(node);
  }
}
