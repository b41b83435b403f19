// The page: connects the source of events with the views.

import { byId, element, setText, shorten } from "./dom.js";
import { clock } from "./format.js";
import { Model } from "./model.js";
import { GraphView } from "./graph.js";
import { ChartView } from "./chart.js";
import { WallView } from "./wall.js";
import { NumbersView } from "./numbers.js";
import { PanelView } from "./panel.js";
import { ControlsView, act } from "./controls.js";
import { LessonView } from "./lesson.js";
import { fromFile, fromServer } from "./source.js";
import { Player } from "./replay.js";

const model = new Model();
// A page that only shows has what the run recorded.
const panel = new PanelView((service) => { if (state.mode === "live") act({ do: "look", service, variant }); });
const graph = new GraphView((chosen) => {
  panel.open(chosen);
  schedule();
});
const chart = new ChartView();
const wall = new WallView();
const numbers = new NumbersView();
const controls = new ControlsView();
const lesson = new LessonView((command) => controls.send(command));
const player = new Player((events, fresh) => add(events, fresh));

/** @type {import("./types.js").State} */
let state = { mode: "live", title: "", allowed: false, reason: null, load: null, faults: [], policies: [], scenarios: [], run: null, error: null };
/** @type {import("./types.js").Details} */
let details = { services: {}, edges: [] };
/** @type {?string} */
let variant = null;
/** The variant that the viewer chose, in which run. @type {?{name: string, run: string}} */
let chosen = null;
let scheduled = false;
/** When the last event came, for the age of cells. */
let received = performance.now();

/** Draws once for everything that came before the next frame. */
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    render();
  });
}

/** @param {import("./types.js").RunEvent[]} events @param {boolean} fresh */
function add(events, fresh) {
  if (fresh) {
    Object.assign(model, new Model());
    wall.clear();
  }
  for (const event of events) {
    if (event.type === "run-started") wall.clear();
    model.apply(event);
  }
  received = performance.now();
  schedule();
}

function runTime() {
  const running = state.mode === "live" && !model.ended;
  return model.elapsed + (running ? Math.min(performance.now() - received, 30000) : 0);
}

function render() {
  // Before its first step the chosen variant has nothing to show.
  variant = chosen?.run === model.startedAt && model.variants.includes(chosen.name) ? chosen.name : model.variants[0] ?? null;
  tabs();
  for (const one of model.takeSamples(variant)) wall.add(one.sample, one.at);
  header();
  numbers.show(model, variant);
  graph.show(model.edges(variant), details);
  chart.show(model, variant);
  panel.show(model, variant, details);
  controls.show(state);
  lesson.show(state, model, variant);
  wall.draw(runTime());
}

function header() {
  const step = model.current(variant);
  const title = model.run?.title ?? state.title;
  setText(byId("title"), shorten(title || "meshy", 120));
  document.title = `${shorten(title || "live page", 60)} \u00b7 meshy`;
  const where = model.run ? [state.title !== title && state.title, model.run.provider && `${model.run.provider} cluster`, model.startedAt.slice(0, 16).replace("T", " ")] : [];
  setText(byId("where"), where.filter(Boolean).map((text) => shorten(text, 60)).join(" \u00b7 "));
  const status = state.mode !== "live" ? "recorded" : model.ended ? `run ${model.ended.status}` : connected ? "live" : "disconnected";
  setText(byId("status"), status);
  byId("status").className = `status ${status.split(" ")[0]}`;
  // A page's own load has one step, which is called as the state is.
  const name = step && step.name !== status ? `${shorten(step.name, 40)} \u00b7 ` : "";
  setText(byId("step"), step ? name + clock(model.elapsed / 1000) : state.run ? "before the first step" : "waiting for the first data");
}

let connected = false;
let tabbed = "";

/** The variants of a scenario, as radio buttons. */
function tabs() {
  const names = model.variants.filter((name) => name !== null);
  const shown = JSON.stringify([names, variant]);
  if (shown === tabbed) return;
  tabbed = shown;
  byId("variants").hidden = names.length < 2;
  byId("variant-list").replaceChildren(
    ...names.map((name, index) => {
      const input = element("input", { type: "radio", name: "variant", id: `variant-${index}`, value: name });
      input.checked = name === variant;
      input.addEventListener("change", () => {
        chosen = { name, run: model.startedAt };
        wall.clear();
        if (state.mode !== "live") player.again();
        else schedule();
        requestAnimationFrame(() => document.getElementById(`variant-${index}`)?.focus());
      });
      return element("label", { for: `variant-${index}` }, input, element("span", {}, shorten(name, 40)));
    }),
  );
}

const handlers = {
  /** @param {import("./types.js").RunEvent[]} events */
  events(events) {
    if (state.mode === "live") add(events, false);
    else player.load(events);
  },
  /** @param {import("./types.js").State} next */
  state(next) {
    state = next;
    document.body.dataset.mode = state.mode;
    schedule();
  },
  /** @param {import("./types.js").Details} next */
  details(next) {
    details = next;
    schedule();
  },
  ready() {
    if (state.mode !== "live") player.ready();
    document.body.dataset.ready = "true";
    schedule();
  },
  /** @param {boolean} now */
  connection(now) {
    connected = now;
    schedule();
  },
  reset() {
    player.events.length = player.next = 0;
    add([], true);
  },
};

if (!fromFile(handlers)) fromServer(handlers);

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  wall.recolour();
  chart.recolour();
  schedule();
});
new ResizeObserver(() => {
  graph.measure();
  schedule();
}).observe(byId("graph"));
// Cells fade between events too.
setInterval(() => {
  if (!document.hidden && state.mode === "live" && !model.ended) wall.draw(runTime());
}, 500);
