// Three charts over the time of the run: success, rates, latency; with marks of changes and the predicted interval.

import { byId, element, setAttribute, shorten } from "./dom.js";
import { clock, millis, percent, rate } from "./format.js";

/** @typedef {import("./types.js").Point} Point */
/** @typedef {(point: Point) => ?number} Pick */
/** @typedef {{id: string, title: string, range?: [number, number], unit: (value: number) => string, series: {name: string, colour: string, dash: number[], pick: Pick}[]}} ChartPlan */

const HEIGHT = 168;

const ratio = (/** @type {?number} */ part, /** @type {?number} */ all) => (part === null || !all ? null : (part / all) * 100);
const perSecond = (/** @type {?number} */ count, /** @type {number} */ length) => (count === null ? null : (count / length) * 1000);

/** @type {ChartPlan[]} */
const PLANS = [
  {
    id: "chart-success",
    title: "Success",
    range: [0, 100],
    unit: (value) => `${value}%`,
    series: [
      { name: "effective", colour: "--good", dash: [], pick: (point) => ratio(point.succeeded, point.requests) },
      { name: "actual", colour: "--bad", dash: [6, 4], pick: (point) => ratio(point.attemptsSucceeded, point.attempts) },
    ],
  },
  {
    id: "chart-rate",
    title: "Per second",
    unit: (value) => rate(value).replace(".0", ""),
    series: [
      { name: "attempts", colour: "--retry", dash: [6, 4], pick: (point) => perSecond(point.attempts, point.length) },
      { name: "requests", colour: "--good", dash: [], pick: (point) => perSecond(point.requests, point.length) },
    ],
  },
  {
    id: "chart-latency",
    title: "Latency",
    unit: (value) => (value >= 1000 ? `${value / 1000}s` : `${value}ms`),
    series: [
      { name: "p99", colour: "--bad", dash: [6, 4], pick: (point) => point.p99 },
      { name: "p50", colour: "--good", dash: [], pick: (point) => point.p50 },
    ],
  },
];

/** @param {string} name */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class ChartView {
  constructor() {
    /** @type {import("./types.js").Mark[]} */
    this.marks = [];
    /** @type {{from: number, to: number, low: number, high: number}[]} */
    this.bands = [];
    /** The times that are shown, in seconds. @type {[number, number]} */
    this.range = [0, 1];
    this.charts = PLANS.map((plan) => this.make(plan));
    this.list = byId("marks");
    this.listed = "";
    this.drawn = "";
    new ResizeObserver(() => this.resize()).observe(byId("charts"));
  }

  /** @param {ChartPlan} plan */
  make(plan) {
    const place = byId(plan.id);
    const legend = plan.series.map((one) => {
      const line = element("span", { class: `key ${one.colour.slice(2)} ${one.dash.length ? "dashed" : "solid"}`, "aria-hidden": "true" });
      return element("li", {}, line, one.name);
    });
    if (plan.id === "chart-success") {
      legend.push(element("li", {}, element("span", { class: "key band", "aria-hidden": "true" }), "predicted"));
    }
    const picture = element("div", { role: "img", "aria-label": plan.title, class: "plot" });
    place.replaceChildren(element("h3", {}, plan.title), element("ul", { class: "legend" }, ...legend), picture);
    const plot = new globalThis.uPlot(this.options(plan, picture), [[], ...plan.series.map(() => [])], picture);
    return { plan, picture, plot };
  }

  /** @param {ChartPlan} plan @param {HTMLElement} picture */
  options(plan, picture) {
    const axis = { stroke: () => colour("--muted"), font: "12px system-ui, sans-serif", grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
    const seconds = (/** @type {any} */ _plot, /** @type {number[]} */ values) => values.map(clock);
    const values = (/** @type {any} */ _plot, /** @type {number[]} */ all) => all.map(plan.unit);
    return {
      width: Math.max(200, picture.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, sync: { key: "run" }, points: { size: 7 } },
      scales: { x: { time: false, range: () => this.range }, y: { range: plan.range ?? ((/** @type {any} */ _plot, /** @type {number} */ _low, /** @type {number} */ high) => [0, Math.max(high * 1.1, 1)]) } },
      axes: [
        { ...axis, size: 26, space: 60, values: seconds },
        { ...axis, size: 48, space: 34, values },
      ],
      series: [
        {},
        ...plan.series.map((one) => ({ label: one.name, stroke: () => colour(one.colour), width: 2.5, dash: one.dash, points: { show: false }, spanGaps: false })),
      ],
      hooks: { drawClear: [(/** @type {any} */ plot) => this.under(plot, plan)], draw: [(/** @type {any} */ plot) => this.over(plot)] },
    };
  }

  /** Draws the predicted interval of success. @param {any} plot @param {ChartPlan} plan */
  under(plot, plan) {
    if (plan.id !== "chart-success") return;
    const context = /** @type {CanvasRenderingContext2D} */ (plot.ctx);
    context.save();
    context.fillStyle = colour("--band");
    for (const band of this.bands) {
      const [left, right] = [plot.valToPos(band.from, "x", true), plot.valToPos(band.to, "x", true)];
      const [top, bottom] = [plot.valToPos(band.high * 100, "y", true), plot.valToPos(band.low * 100, "y", true)];
      context.fillRect(left, top, Math.max(1, right - left), Math.max(3, bottom - top));
    }
    context.restore();
  }

  /** Draws a line for each change. @param {any} plot */
  over(plot) {
    const context = /** @type {CanvasRenderingContext2D} */ (plot.ctx);
    const { left, top, width, height } = plot.bbox;
    const scale = window.devicePixelRatio || 1;
    context.save();
    context.lineWidth = scale;
    context.font = `600 ${11 * scale}px system-ui, sans-serif`;
    context.textBaseline = "top";
    context.textAlign = "left";
    let free = -Infinity;
    this.marks.forEach((mark, index) => {
      const x = plot.valToPos(mark.at / 1000, "x", true);
      if (x < left || x > left + width) return;
      context.strokeStyle = context.fillStyle = colour(mark.kind === "fault" ? "--bad" : mark.kind === "policy" ? "--retry" : "--muted");
      context.setLineDash(mark.kind === "step" ? [2 * scale, 3 * scale] : []);
      context.beginPath();
      context.moveTo(x, top);
      context.lineTo(x, top + height);
      context.stroke();
      const text = String(index + 1);
      if (x > free) {
        context.fillText(text, x + 3 * scale, top + 2 * scale);
        free = x + context.measureText(text).width + 8 * scale;
      }
    });
    context.restore();
  }

  /** @param {import("./model.js").Model} model @param {?string} variant */
  show(model, variant) {
    const steps = model.steps(variant);
    const drawn = JSON.stringify([
      variant, model.startedAt, model.marks.length, model.marks.at(-1)?.at,
      steps.map((step) => [step.name, step.startMs, step.points.length, step.points.at(-1)?.at, step.prediction?.success, step.ended]),
    ]);
    // Four events a second come; a new point comes each second.
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.marks = model.marks.slice(-40);
    this.bands = steps.flatMap((step) => {
      const success = step.prediction?.success;
      const to = step.ended ? step.endMs : Math.max(step.endMs, step.startMs + Math.min(step.started.duration_ms, 600000));
      return success ? [{ from: step.startMs / 1000, to: to / 1000, low: success.low, high: success.high }] : [];
    });
    const first = steps[0]?.startMs ?? 0;
    this.range = [first / 1000, Math.max(first + 1000, ...steps.map((step) => step.endMs)) / 1000];
    /** @type {(Point|null)[]} */
    const points = steps.flatMap((step) => [null, ...step.points, null]);
    // A gap between two steps reaches from just after the last point of one to just before the first of the next.
    const times = points.map((point, index) => {
      const [before, after] = [points[index - 1], points[index + 1]];
      return (point ? point.at : before ? before.at + 1 : after ? after.at - 1 : first) / 1000;
    });
    for (const { plan, plot, picture } of this.charts) {
      plot.setData([times, ...plan.series.map((one) => points.map((point) => (point ? one.pick(point) : null)))]);
      setAttribute(picture, "aria-label", summary(plan, steps.at(-1)?.points.at(-1) ?? null));
    }
    this.marked();
  }

  marked() {
    const listed = JSON.stringify(this.marks);
    if (listed === this.listed) return;
    this.listed = listed;
    this.list.replaceChildren(
      ...this.marks.map((mark, index) =>
        element("li", { class: mark.kind }, element("b", {}, String(index + 1)), ` ${clock(mark.at / 1000)} ${shorten(mark.text, 90)}`),
      ),
    );
  }

  resize() {
    for (const { plot, picture } of this.charts) {
      const width = picture.clientWidth;
      if (width > 0 && width !== plot.width) plot.setSize({ width, height: HEIGHT });
    }
  }

  recolour() {
    for (const { plot } of this.charts) plot.redraw(false, true);
  }
}

/** @param {ChartPlan} plan @param {?Point} point */
function summary(plan, point) {
  if (!point) return `${plan.title}: no data yet`;
  if (plan.id === "chart-success") {
    return `Success over time; now effective ${percent(point.succeeded, point.requests)}, actual ${percent(point.attemptsSucceeded, point.attempts)}`;
  }
  if (plan.id === "chart-rate") {
    return `Rates over time; now ${rate(perSecond(point.requests, point.length))} requests and ${rate(perSecond(point.attempts, point.length))} attempts per second`;
  }
  return `Latency over time; now p50 ${millis(point.p50)}, p99 ${millis(point.p99)}`;
}
