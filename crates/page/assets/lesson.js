// The scenario that runs: its steps, the text of each, and what came out.

import { byId, clean, commandLine, element, shorten } from "./dom.js";
import { percent } from "./format.js";

export class LessonView {
  /** @param {(command: any) => void} send */
  constructor(send) {
    this.send = send;
    this.place = byId("lesson");
    this.shown = "";
  }

  /** @param {import("./types.js").State} state @param {import("./model.js").Model} model @param {?string} variant */
  show(state, model, variant) {
    const run = state.run ?? recorded(state, model, variant);
    this.place.hidden = run === null;
    if (!run) return;
    const results = run.steps.map((step) => {
      const record = model.steps(variant).find((one) => one.name === step.name);
      return record?.ended ? `${percent(record.load.succeeded, record.load.requests)} succeeded` : "";
    });
    const whys = run.steps.map((step) => step.why ?? model.steps(variant).find((one) => one.name === step.name)?.why ?? null);
    const shown = JSON.stringify([run, results, whys, model.judgements, state.allowed]);
    if (shown === this.shown) return;
    this.shown = shown;
    const step = run.steps[Math.min(run.current, run.steps.length - 1)];
    const focused = this.place.contains(document.activeElement) ? document.activeElement?.id : "";
    byId("lesson-title").textContent = shorten(run.title, 200);
    byId("lesson-content").replaceChildren(
      element("ol", { class: "progress" }, ...run.steps.map((one, index) => {
        const place = index < run.current ? "done" : index === run.current ? "current" : "open";
        const mark = { done: "\u2713 ", current: "\u25b8 ", open: "" }[place];
        return element("li", { class: place, "aria-current": place === "current" ? "step" : null }, mark, shorten(one.title || one.name, 80),
          results[index] && element("span", { class: "result" }, ` ${results[index]}`));
      })),
      ...(step && run.current < run.steps.length ? current(step, run.waiting) : []),
      ...explained(run, whys),
      ...model.judgements.map((one) => element("p", { class: `judgement ${one.verdict}` },
        `${one.verdict === "met" ? "\u2713" : one.verdict === "not-met" ? "\u2715" : "?"} ${clean(one.condition)}: ${clean(one.measured)}`)),
      ...(state.run ? this.buttons(run) : []),
    );
    if (focused) document.getElementById(focused)?.focus();
  }

  /** @param {import("./types.js").Progress} run */
  buttons(run) {
    const next = element("button", { type: "button", id: "next-step", class: "primary", disabled: !run.waiting, onclick: () => this.send({ do: "next" }) },
      run.waiting ? "Start this step" : "Running\u2026");
    const stop = element("button", { type: "button", id: "stop-run", onclick: () => this.send({ do: "stop-run" }) }, "End scenario");
    return [element("p", { class: "buttons" }, next, stop), commandLine(run.command)];
  }
}

/** @param {import("./types.js").StepState} step @param {boolean} waiting */
function current(step, waiting) {
  return [
    element("h3", {}, shorten(step.title || step.name, 120)),
    step.text && element("p", {}, clean(step.text)),
    waiting && step.question && element("p", { class: "question" }, clean(step.question)),
  ].filter((made) => made instanceof Node);
}

/** Explains the last step that ended. @param {import("./types.js").Progress} run @param {(?string)[]} whys */
function explained(run, whys) {
  const index = run.current - 1;
  const why = index >= 0 ? whys[index] : null;
  return why ? [element("p", { class: "why" }, element("b", {}, `${shorten(run.steps[index].title || run.steps[index].name, 80)}: `), clean(why))] : [];
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
  return { name: model.run.scenario ?? "", title: model.run.title, steps, current: ended, waiting: false, command: "" };
}
