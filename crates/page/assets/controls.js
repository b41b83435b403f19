// What a viewer can do: load, faults, policies, scenarios. Each control shows the command that does the same.

import { byId, commandLine, element, setText, shorten } from "./dom.js";

/** @typedef {import("./types.js").State} State */

/**
 * Sends a command to the server; what failed is returned.
 * @param {any} command
 * @returns {Promise<string>}
 */
export async function act(command) {
  try {
    const response = await fetch("do", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(command) });
    return response.ok ? "" : await response.text();
  } catch {
    return "the page lost the connection to meshy";
  }
}

export class ControlsView {
  constructor() {
    this.place = byId("controls");
    this.message = byId("message");
    this.shape = "";
    /** @type {?HTMLFieldSetElement} */
    this.set = null;
    /** @type {?HTMLElement} */
    this.busy = null;
    /** @type {((state: State) => void)[]} */
    this.updates = [];
  }

  /** @param {State} state */
  show(state) {
    const idle = state.mode !== "live";
    this.place.hidden = idle;
    document.body.classList.toggle("with-controls", !idle);
    if (idle) return;
    const shape = JSON.stringify([
      state.allowed, state.reason, state.load?.command, state.load?.target,
      state.faults.map((one) => one.service), state.policies.map((one) => one.name), state.scenarios.map((one) => one.name),
    ]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.updates = [];
      const parts = [this.load(state), this.faults(state), this.policies(state), this.scenarios(state)].filter((part) => part !== null);
      const reason = state.allowed ? [] : [element("p", { class: "reason" }, state.reason ?? "The controls are off.")];
      this.set = element("fieldset", {}, element("legend", {}, "Controls"), ...parts);
      this.busy = element("p", { class: "reason" }, "A scenario runs: its steps set the load, the faults and the policies.");
      byId("controls-content").replaceChildren(...reason, this.busy, this.set);
    }
    const runs = state.run !== null && !state.run.over;
    if (this.set) {
      this.set.disabled = !state.allowed || runs;
      this.set.hidden = runs;
    }
    if (this.busy) this.busy.hidden = !runs;
    for (const update of this.updates) update(state);
    if (state.error) this.say(state.error);
  }

  /** @param {string} text */
  say(text) {
    setText(this.message, text);
    this.message.hidden = !text;
  }

  /** @param {any} command */
  async send(command) {
    this.say(await act(command));
  }

  /** @param {State} state */
  load(state) {
    if (!state.load) return null;
    const toggle = element("button", { type: "button", id: "load-toggle", class: "primary" });
    const command = element("div");
    const slider = this.slider({
      id: "load-rate",
      label: `Rate to ${shorten(state.load.target, 40)}`,
      unit: "/s",
      max: 200,
      min: 1,
      changed: (rate) => {
        show(command, fillIn(this.latest?.load?.command, rate));
        if (this.latest?.load?.running) this.send({ do: "load", rate });
      },
    });
    toggle.addEventListener("click", () => {
      this.send(this.latest?.load?.running ? { do: "stop-load" } : { do: "load", rate: slider.value() });
    });
    this.updates.push((now) => {
      this.latest = now;
      const load = now.load;
      if (!load) return;
      setText(toggle, load.running ? "Stop load" : "Start load");
      toggle.setAttribute("aria-pressed", String(load.running));
      slider.set(load.rate);
      show(command, fillIn(load.command, slider.value()));
    });
    return element("section", { "aria-label": "Load" }, element("h3", {}, "Load"), slider.made, toggle, command);
  }

  /** @param {State} state */
  faults(state) {
    if (!state.faults.length) return null;
    const rows = state.faults.map((fault, index) => {
      const command = element("div");
      const slider = this.slider({
        id: `fault-${index}`,
        label: shorten(fault.service, 40),
        unit: " %",
        max: 100,
        min: 0,
        changed: (percent) => {
          show(command, fillIn(fault.command, percent));
          this.send({ do: "fault", service: fault.service, percent });
        },
      });
      this.updates.push((now) => {
        const current = now.faults.find((one) => one.service === fault.service);
        if (current) slider.set(current.percent);
        show(command, fillIn(fault.command, slider.value()));
      });
      return element("div", { class: "control" }, slider.made, command);
    });
    return element("section", { "aria-label": "Faults" }, element("h3", {}, "Faults: requests that fail"), ...rows);
  }

  /** @param {State} state */
  policies(state) {
    if (!state.policies.length) return null;
    const rows = state.policies.map((policy, index) => {
      const box = element("input", { type: "checkbox", role: "switch", id: `policy-${index}` });
      const command = element("div");
      box.addEventListener("change", () => this.send({ do: "policy", name: policy.name, on: box.checked }));
      this.updates.push((now) => {
        const current = now.policies.find((one) => one.name === policy.name);
        if (!current) return;
        box.checked = current.on;
        show(command, current.on ? current.remove : current.apply);
      });
      const label = element("label", { for: `policy-${index}` }, shorten(policy.title || policy.name, 90));
      return element("div", { class: "control" }, element("div", { class: "switch" }, box, label), command);
    });
    return element("section", { "aria-label": "Policies" }, element("h3", {}, "Policies"), ...rows);
  }

  /** @param {State} state */
  scenarios(state) {
    if (!state.scenarios.length) return null;
    const option = (/** @type {import("./types.js").ScenarioState} */ one) => element("option", { value: one.name }, shorten(one.name, 40));
    const isLesson = (/** @type {import("./types.js").ScenarioState} */ one) => one.name.startsWith("lesson/");
    const group = (/** @type {string} */ label, /** @type {import("./types.js").ScenarioState[]} */ all) => all.length && element("optgroup", { label }, ...all.map(option));
    const choice = element("select", { id: "scenario" },
      group("Scenarios", state.scenarios.filter((one) => !isLesson(one))), group("Lessons", state.scenarios.filter(isLesson)));
    const short = element("input", { type: "checkbox", id: "scenario-short" });
    const shortLabel = element("label", { for: "scenario-short" });
    const shortRow = element("div", { class: "switch" }, short, shortLabel);
    const title = element("p", { class: "hint" });
    const command = element("div");
    const start = element("button", { type: "button", id: "scenario-start" }, "Run step by step");
    const shown = () => {
      const chosen = state.scenarios.find((one) => one.name === choice.value);
      shortRow.hidden = !chosen?.short;
      setText(shortLabel, `Short form: ${Math.round(chosen?.short?.seconds ?? 0)}\u00a0s instead of ${Math.round(chosen?.seconds ?? 0)}\u00a0s`);
      const form = (short.checked && chosen?.short) || chosen;
      setText(title, chosen ? `${shorten(chosen.title, 160)} (${Math.round(chosen.seconds)}\u00a0s)` : "");
      show(command, form?.command ?? "");
    };
    choice.addEventListener("change", shown);
    short.addEventListener("change", shown);
    start.addEventListener("click", () => this.send({ do: "run", scenario: choice.value, short: short.checked && !shortRow.hidden }));
    shown();
    const label = element("label", { for: "scenario" }, "Scenario or lesson");
    return element("section", { "aria-label": "Scenarios" }, element("h3", {}, "Scenarios and lessons"), label, choice, title, shortRow, start, command);
  }

  /**
   * Builds a slider with a label and its value. The server's value does not move it while a hand does.
   * @param {{id: string, label: string, unit: string, min: number, max: number, changed: (value: number) => void}} plan
   */
  slider({ id, label, unit, min, max, changed }) {
    const input = element("input", { type: "range", id, min, max, step: 1 });
    const output = element("output", { for: id });
    let touched = 0;
    let timer = 0;
    const show = () => {
      setText(output, `${input.value}${unit}`);
      input.setAttribute("aria-valuetext", `${input.value}${unit}`);
    };
    input.addEventListener("input", () => {
      touched = performance.now();
      show();
      clearTimeout(timer);
      timer = setTimeout(() => changed(Number(input.value)), 120);
    });
    const made = element("div", { class: "slider" }, element("label", { for: id }, label), output, input);
    return {
      made,
      value: () => Number(input.value),
      set: (/** @type {number} */ value) => {
        if (performance.now() - touched < 1500 && touched > 0) return;
        if (value > Number(input.max)) input.max = String(value);
        input.value = String(value);
        show();
      },
    };
  }
}

/** @param {string|undefined} command @param {number} value */
function fillIn(command, value) {
  return (command ?? "").replace("{}", String(value));
}

/** Shows a command in a place, unless it is there already. @param {HTMLElement} place @param {string} command */
function show(place, command) {
  if (place.dataset.command === command) return;
  place.dataset.command = command;
  place.replaceChildren(commandLine(command));
}
