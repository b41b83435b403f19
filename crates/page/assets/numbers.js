// The big numbers: now and in the whole run, and the table of the steps.

import { byId, element, setText } from "./dom.js";
import { OUTCOMES, factor, millis, percent, rate, whole } from "./format.js";

/** @type {[string, string][]} */
const TILES = [
  ["effective", "Effective success"],
  ["actual", "Actual success"],
  ["requests", "Requests"],
  ["attempts", "Attempts/req"],
  ["p50", "Latency p50"],
  ["p99", "Latency p99"],
];

export class NumbersView {
  constructor() {
    /** @type {Map<string, {now: HTMLElement, whole: HTMLElement}>} */
    this.tiles = new Map();
    const place = byId("numbers");
    for (const [id, title] of TILES) {
      const now = element("dd", { class: "now", "data-now": id }, "\u2013");
      const all = element("dd", { class: "whole", "data-whole": id }, "\u2013");
      this.tiles.set(id, { now, whole: all });
      place.append(element("div", { class: `tile ${id}` }, element("dt", {}, title), now, all));
    }
    this.table = byId("steps");
    this.shown = "";
  }

  /** @param {string} id @param {string} now @param {string} all */
  tile(id, now, all) {
    const tile = this.tiles.get(id);
    if (!tile) return;
    setText(tile.now, now);
    setText(tile.whole, `run: ${all}`);
  }

  /** @param {import("./model.js").Model} model @param {?string} variant */
  show(model, variant) {
    const run = model.whole(variant);
    const now = recent(model.current(variant));
    const { load, counted, attempts, attemptsSucceeded, latency } = run;
    this.tile("effective", percent(now.succeeded, now.requests), percent(load.succeeded, load.requests));
    this.tile("actual", percent(now.attemptsSucceeded, now.attempts), percent(attemptsSucceeded, attempts));
    this.tile("requests", now.seconds ? `${rate(now.requests / now.seconds)}/s` : "\u2013", whole(load.requests));
    const each = (/** @type {?number} */ all, /** @type {number} */ requests) => factor(all === null || !requests ? null : all / requests);
    this.tile("attempts", each(now.attempts, now.called), each(attempts, counted));
    this.tile("p50", millis(now.p50), millis(latency?.p50_ms));
    this.tile("p99", millis(now.p99), millis(latency?.p99_ms));
    this.steps(model, variant);
  }

  /** @param {import("./model.js").Model} model @param {?string} variant */
  steps(model, variant) {
    const rows = model.steps(variant).map((step) => {
      const watched = step.watched(step.edges);
      return {
        name: step.name,
        cells: [
          whole(step.load.requests),
          whole(step.load.succeeded),
          percent(step.load.succeeded, step.load.requests),
          watched ? whole(watched.attempts) : "\u2013",
          watched ? percent(watched.attempts_succeeded, watched.attempts) : "\u2013",
          millis(step.latency?.p50_ms),
          millis(step.latency?.p99_ms),
        ],
        outcomes: Object.entries(watched?.outcomes ?? step.load.outcomes ?? {}),
      };
    });
    const shown = JSON.stringify(rows);
    if (shown === this.shown) return;
    this.shown = shown;
    const columns = ["requests", "succeeded", "success", "attempts", "actual", "p50", "p99"];
    this.table.replaceChildren(
      ...rows.flatMap((row) => [
        element(
          "tr",
          { "data-step": row.name },
          element("th", { scope: "row" }, row.name),
          ...row.cells.map((cell, index) => element("td", { "data-column": columns[index] }, cell)),
        ),
        row.outcomes.length > 0 &&
          element(
            "tr",
            { class: "outcomes" },
            element("td", { colspan: 8 }, row.outcomes.map(([id, count]) => `${whole(count)} ${OUTCOMES[id] ?? id}`).join(" \u00b7 ")),
          ),
      ].filter((made) => made !== false)),
    );
  }
}

/** Returns what about the last two seconds counted. @param {?import("./model.js").StepRecord} step */
export function recent(step) {
  const points = [step?.points.at(-2), step?.points.at(-1)];
  const sum = { requests: 0, succeeded: 0, called: 0, attempts: /** @type {?number} */ (null), attemptsSucceeded: /** @type {?number} */ (null), seconds: 0, p50: /** @type {?number} */ (null), p99: /** @type {?number} */ (null) };
  for (const point of points) {
    if (!point) continue;
    sum.requests += point.requests;
    sum.succeeded += point.succeeded;
    sum.seconds += point.length / 1000;
    if (point.attempts !== null) {
      sum.called += point.called ?? 0;
      sum.attempts = (sum.attempts ?? 0) + point.attempts;
      sum.attemptsSucceeded = (sum.attemptsSucceeded ?? 0) + (point.attemptsSucceeded ?? 0);
    }
    sum.p50 = point.p50 ?? sum.p50;
    sum.p99 = point.p99 ?? sum.p99;
  }
  return sum;
}
