// The scenario that runs: its steps, the text of each, and what came out.

import { byId, clean, commandLine, element, prose, shorten } from "./dom.js";
import { percent } from "./format.js";

export class LessonView {
  /** @param {(command: any) => void} send */
  constructor(send) {
    this.send = send;
    this.place = byId("lesson");
    this.shown = "";
    /** Whether a scenario ran when it was shown last. */
    this.started = false;
    nextByKey(() => document.getElementById("next-step"));
  }

  /** @param {import("./types.js").State} state @param {import("./model.js").Model} model @param {?string} variant */
  show(state, model, variant) {
    const run = state.run ?? recorded(state, model, variant);
    this.place.hidden = run === null;
    if (!run) return;
    // Before its first event, the model has another run.
    const records = state.run && model.run?.steps?.[0]?.step !== run.steps[0]?.name ? [] : model.steps(variant);
    const results = run.steps.map((step) => {
      const record = records.find((one) => one.name === step.name);
      return record?.ended ? `${percent(record.load.succeeded, record.load.requests)} succeeded` : "";
    });
    const whys = run.steps.map((step) => step.why ?? records.find((one) => one.name === step.name)?.why ?? null);
    const shown = JSON.stringify([run, results, whys, model.conditionResults, state.allowed, records.length > 0]);
    if (shown === this.shown) return;
    this.shown = shown;
    const step = run.steps[Math.min(run.current, run.steps.length - 1)];
    const focused = this.place.contains(document.activeElement) ? document.activeElement?.id : "";
    const started = state.run !== null && !run.over;
    byId("lesson-title").textContent = shorten(run.title, 200);
    byId("lesson-content").replaceChildren(
      element("ol", { class: "progress" }, ...run.steps.map((one, index) => {
        const place = index < run.current ? "done" : index === run.current ? "current" : "open";
        const mark = { done: "\u2713 ", current: "\u25b8 ", open: "" }[place];
        return element("li", { class: place, "aria-current": place === "current" ? "step" : null }, mark, shorten(one.title || one.name, 80),
          results[index] && element("span", { class: "result" }, `: ${results[index]}`));
      })),
      ...(step && run.current < run.steps.length ? current(step, run.waiting) : []),
      ...explained(run, whys),
      ...(state.run ? this.buttons(run, records.length > 0) : []),
      ...model.conditionResults.map((one) => element("p", { class: `condition-result ${one.verdict}` },
        `${one.verdict === "met" ? "\u2713" : one.verdict === "not-met" ? "\u2715" : "?"} ${clean(one.condition)}: ${prose(one.measured)}`)),
    );
    if (focused) (document.getElementById(focused) ?? document.getElementById("stop-run"))?.focus({ preventScroll: true });
    else if (started && !this.started) document.getElementById("next-step")?.focus({ preventScroll: true });
    this.started = started;
  }

  /** @param {import("./types.js").Progress} run @param {boolean} prepared whether a step was started */
  buttons(run, prepared) {
    const stop = element("button", { type: "button", id: "stop-run", onclick: () => this.send({ do: "stop-run" }) }, run.over ? "Back to the lab" : "End scenario");
    // It keeps the focus while the step runs, so it is not disabled.
    const next = element("button", { type: "button", id: "next-step", class: "primary", "aria-disabled": String(!run.waiting), onclick: () => run.waiting && this.send({ do: "next" }) },
      run.waiting ? (run.current ? "Next step" : "Start the first step") : prepared ? "Running\u2026" : "Preparing\u2026");
    const hint = element("p", { class: "hint" }, "Keys: Page Down or \u2192 starts the step that waits.");
    return [element("p", { class: "buttons" }, ...(run.over ? [] : [next]), stop), ...(run.over ? [] : [hint]), commandLine(run.command)];
  }
}

/** Keys of presenters' remote controls, and of elements that use them themselves. */
const NEXT_KEYS = ["PageDown", "ArrowRight"];
const OWN_KEYS = "input, select, textarea, [role=region], dialog, ol[tabindex]";

/** Presses the button for the next step by a key, unless the element that has the focus uses the key. @param {() => ?HTMLElement} button */
export function nextByKey(button) {
  document.addEventListener("keydown", (event) => {
    const next = button();
    const used = event.target instanceof Element && event.target.id !== next?.id && event.target.closest(OWN_KEYS) && !event.target.closest("#lesson");
    if (!next || used || !NEXT_KEYS.includes(event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
    if (next.getAttribute("aria-disabled") === "true" || event.repeat) return;
    event.preventDefault();
    next.click();
  });
}

/** @param {import("./types.js").StepState} step @param {boolean} waiting */
function current(step, waiting) {
  return [
    element("h3", {}, shorten(step.title || step.name, 120)),
    step.text && element("p", {}, prose(step.text)),
    waiting && step.question && element("p", { class: "question" }, prose(step.question)),
  ].filter((made) => made instanceof Node);
}

/** Explains the last step that ended. @param {import("./types.js").Progress} run @param {(?string)[]} whys */
function explained(run, whys) {
  const index = run.current - 1;
  const why = index >= 0 ? whys[index] : null;
  return why ? [element("p", { class: "why" }, element("b", {}, `${shorten(run.steps[index].title || run.steps[index].name, 80)}: `), prose(why))] : [];
}

/**
 * Builds the progress of a recorded scenario from its events.
 * @param {import("./types.js").State} state
 * @param {import("./model.js").Model} model
 * @param {?string} variant
 * @returns {?import("./types.js").Progress}
 */
function recorded(state, model, variant) {
  if (state.mode === "live" || !model.run?.steps?.length) return null;
  const records = model.steps(variant);
  const steps = model.run.steps.map((/** @type {any} */ plan) => {
    const record = records.find((one) => one.name === plan.step);
    return { name: plan.step, title: plan.title ?? plan.step, text: record?.started.text ?? null, question: record?.started.question ?? null, note: null, why: record?.why ?? null, seconds: plan.duration_ms / 1000 };
  });
  const ended = records.filter((one) => one.ended).length;
  return { name: model.run.scenario ?? "", title: model.run.title, steps, current: ended, waiting: false, over: true, command: "" };
}
