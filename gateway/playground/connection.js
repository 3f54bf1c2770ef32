// The native API over one WebSocket that comes back by itself: see docs/native-api.md.

const RETRY_MS = [250, 500, 1000, 2000, 4000];

/** A request that the gateway refused, or that was under way when the connection broke. */
export class Refused extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code; // as in the API, or "offline"
  }
}

export class Connection {
  #socket = null;
  #token;
  #tries = 0;
  #lastId = 0;
  #answers = new Map(); // request id -> {resolve, reject}
  #follows = new Map(); // execution id -> {after, onEvent}
  #onState;

  /** onState(state) with "connecting", "connected", "offline" or "refused" (no valid token). */
  constructor(token, onState) {
    this.#token = token;
    this.#onState = onState;
  }

  setToken(token) {
    this.#token = token;
    this.#tries = 0;
    this.open();
  }

  open() {
    const protocols = ["kernelbridge.v1"];
    if (this.#token) protocols.push(`kernelbridge.token.${this.#token}`);
    const socket = new WebSocket(new URL("/v1/ws", location.href.replace(/^http/, "ws")), protocols);
    this.#socket = socket;
    this.#onState("connecting");
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#received(JSON.parse(event.data));
    socket.onclose = () => this.#closed(socket);
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Send a request; resolves to its answer, rejects with Refused. */
  request(op, keys = {}) {
    return new Promise((resolve, reject) => {
      if (!this.connected) {
        reject(new Refused({ code: "offline", message: "not connected to the gateway" }));
        return;
      }
      const id = ++this.#lastId;
      this.#answers.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ id, op, ...keys }));
    });
  }

  /** Run code; onStart(answer) comes before the first onEvent(event), which comes once per event. */
  async execute(keys, onStart, onEvent) {
    const answer = await this.request("execute", { on_disconnect: "finish", ...keys });
    this.#follows.set(answer.execution, { after: 0, onEvent });
    onStart(answer);
  }

  /** Follow an execution that runs already, from its first event. */
  attach(execution, onEvent) {
    this.#follows.set(execution, { after: 0, onEvent });
    return this.#attach(execution);
  }

  async #attach(execution) {
    const follow = this.#follows.get(execution);
    try {
      await this.request("attach", { execution, after: follow.after });
    } catch (error) {
      if (error.code === "offline" || error.code === "exists") return;
      this.#follows.delete(execution);
      follow.onEvent({ event: "lost", execution, message: error.message });
    }
  }

  #opened() {
    this.#tries = 0;
    this.#onState("connected");
    for (const execution of this.#follows.keys()) this.#attach(execution);
  }

  #received(message) {
    if ("event" in message) {
      this.#event(message);
      return;
    }
    const answer = this.#answers.get(message.id);
    this.#answers.delete(message.id);
    if (message.ok) answer?.resolve(message);
    else answer?.reject(new Refused(message.error));
  }

  #event(event) {
    const follow = this.#follows.get(event.execution);
    if (!follow) return;
    const missing = event.seq - follow.after - 1;
    follow.after = event.seq;
    if (event.event === "done") this.#follows.delete(event.execution);
    follow.onEvent(missing > 0 ? { ...event, missing } : event);
  }

  async #closed(socket) {
    if (socket !== this.#socket) return;
    const gone = new Refused({ code: "offline", message: "the connection to the gateway broke" });
    for (const { reject } of this.#answers.values()) reject(gone);
    this.#answers.clear();
    this.#onState("offline");
    if (await this.#tokenIsBad()) {
      this.#onState("refused");
      return;
    }
    const wait = RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)];
    setTimeout(() => socket === this.#socket && this.open(), wait);
  }

  // A browser does not say why an upgrade failed; a plain request does.
  async #tokenIsBad() {
    const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    try {
      return (await fetch("/v1/kernelspecs", { headers })).status === 401;
    } catch {
      return false;
    }
  }
}
