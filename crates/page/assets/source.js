// Where events come from: the server while it serves, or the file itself.

/**
 * @typedef {object} Handlers
 * @property {(events: import("./types.js").RunEvent[]) => void} events
 * @property {(state: import("./types.js").State) => void} state
 * @property {(details: import("./types.js").Details) => void} details
 * @property {() => void} ready everything that happened before was given
 * @property {(connected: boolean) => void} connection
 * @property {() => void} reset a new connection: everything is given again
 */

/** Reads the events inside of this file; returns false in a page that has none. @param {Handlers} handlers */
export function fromFile(handlers) {
  const data = document.getElementById("run");
  if (!data) return false;
  const { state, details, events } = JSON.parse(data.textContent ?? "{}");
  handlers.state({ ...state, mode: "file", allowed: false, run: null });
  handlers.details(details);
  handlers.events(events);
  data.remove();
  handlers.ready();
  return true;
}

/** Follows the server. @param {Handlers} handlers */
export function fromServer(handlers) {
  const source = new EventSource("events");
  const read = (/** @type {string} */ name, /** @type {(data: any) => void} */ handle) =>
    source.addEventListener(name, (event) => handle(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  source.addEventListener("open", () => {
    handlers.reset();
    handlers.connection(true);
  });
  source.addEventListener("error", () => handlers.connection(false));
  read("events", handlers.events);
  read("state", handlers.state);
  read("details", handlers.details);
  read("ready", () => handlers.ready());
}
