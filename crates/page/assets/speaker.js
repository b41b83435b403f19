// The speaker's page: notes, the next step and a clock. The audience sees the main page.

import { byId, element, prose, setText, shorten } from "./dom.js";
import { clock, percent } from "./format.js";
import { Model } from "./model.js";
import { act } from "./controls.js";
import { nextByKey } from "./lesson.js";
import { fromServer } from "./source.js";

const model = new Model();
/** @type {?import("./types.js").State} */
let state = null;
const opened = performance.now();
let received = performance.now();
let shown = "";

function render() {
  if (!state) return;
  const run = state.run;
  const content = JSON.stringify([run, state.allowed, [...model.records.values()].map((record) => record.ended)]);
  if (content === shown) return;
  shown = content;
  setText(byId("speaker-title"), shorten(run?.title ?? state.title, 160));
  const index = run ? Math.min(run.current, run.steps.length - 1) : 0;
  const [now, next] = [run?.steps[index], run?.steps[index + 1]];
  byId("speaker-now").replaceChildren(...(run && now ? step(now, true) : [element("p", {}, "No scenario runs. Start one on the main page.")]));
  byId("speaker-next").replaceChildren(...(next ? step(next, false) : [element("p", {}, run ? "This is the last step." : "\u2013")]));
  const button = /** @type {HTMLButtonElement} */ (byId("speaker-start"));
  button.setAttribute("aria-disabled", String(!run?.waiting || !state.allowed));
  setText(button, !run || run.waiting ? "Start this step" : run.over ? "The run is over" : "Running\u2026");
  button.hidden = !run;
  byId("speaker-keys").hidden = !run || run.over;
  if (state.error) setText(byId("message"), state.error);
  const ended = [...model.records.values()].filter((record) => record.ended);
  byId("results-title").hidden = ended.length === 0;
  byId("speaker-results").replaceChildren(
    ...ended.map((record) => element("li", {}, `${shorten([record.variant, record.name].filter(Boolean).join(" "), 60)}: ${percent(record.load.succeeded, record.load.requests)} succeeded`)),
  );
}

/** @param {import("./types.js").StepState} one @param {boolean} full */
function step(one, full) {
  return [
    element("h3", {}, `${shorten(one.title || one.name, 120)} (${Math.round(one.seconds)} s)`),
    full && one.text && element("p", {}, prose(one.text)),
    full && one.question && element("p", { class: "question" }, prose(one.question)),
    one.note && element("p", { class: "note" }, prose(one.note)),
    full && one.why && element("p", { class: "why" }, element("b", {}, "After the step: "), prose(one.why)),
  ].filter((made) => made instanceof Node);
}

function clocks() {
  const running = model.run && !model.ended;
  const elapsed = model.elapsed + (running ? Math.min(performance.now() - received, 30000) : 0);
  setText(byId("clock-talk"), clock((performance.now() - opened) / 1000));
  setText(byId("clock-run"), model.run && state?.run ? clock(elapsed / 1000) : "\u2013");
  const step = [...model.records.values()].at(-1);
  // While a step of a scenario waits, what ran before it does not count.
  const left = step && !step.ended && step.started.duration_ms > 0 && !state?.run?.waiting ? (step.startMs + step.started.duration_ms - elapsed) / 1000 : NaN;
  setText(byId("clock-step"), Number.isFinite(left) && left < 36000 ? clock(left) : "\u2013");
}

byId("speaker-start").addEventListener("click", async () => {
  if (state?.run?.waiting) setText(byId("message"), await act({ do: "next" }));
});
nextByKey(() => byId("speaker-start"));
fromServer({
  events(events) {
    for (const event of events) model.apply(event);
    model.samples.clear();
    received = performance.now();
    render();
  },
  state(next) {
    state = next;
    render();
  },
  details() {},
  ready() {
    document.body.dataset.ready = "true";
  },
  connection() {},
  reset() {
    Object.assign(model, new Model());
  },
});
setInterval(clocks, 250);
