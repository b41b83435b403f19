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
      { name: "attempts", colour: "--retry", dash: [6, 4], pick: (point) => perSecond(point.attempts, point.calledLength ?? point.length) },
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

/** A pause between two steps is drawn no longer than this, in seconds. */
const LONGEST_PAUSE = 1.5;

/**
 * Maps the time of the run to places on the axis, both in seconds: each step has its length, a long pause before it is short.
 * @param {{startMs: number, endMs: number}[]} steps
 * @returns {[number, number][]} pairs of time and place, increasing
 */
export function timeline(steps) {
  /** @type {[number, number][]} */
  const knots = [];
  for (const { startMs, endMs } of steps) {
    const [start, end] = [startMs / 1000, Math.max(startMs, endMs) / 1000];
    const last = knots.at(-1);
    const place = last ? last[1] + Math.min(LONGEST_PAUSE, Math.max(0, start - last[0])) : start;
    if (!last || start > last[0]) knots.push([start, place]);
    const from = /** @type {[number, number]} */ (knots.at(-1));
    if (end > from[0]) knots.push([end, from[1] + end - from[0]]);
  }
  return knots;
}

/** Returns the place of a time, or with `back` the time of a place. @param {[number, number][]} knots @param {number} value @param {boolean} [back] */
export function along(knots, value, back = false) {
  const [from, to] = back ? [1, 0] : [0, 1];
  const next = knots.findIndex((knot) => knot[from] >= value);
  const [a, b] = [knots[next < 0 ? knots.length - 1 : next - 1], knots[next]];
  if (!a) return b ? b[to] + value - b[from] : value;
  if (!b) return a[to] + value - a[from];
  return a[to] + ((value - a[from]) * (b[to] - a[to])) / (b[from] - a[from]);
}

export class ChartView {
  constructor() {
    /** @type {import("./types.js").Mark[]} */
    this.marks = [];
    /** @type {{from: number, to: number, low: number, high: number}[]} */
    this.bands = [];
    /** Times of the run and their places on the axis. @type {[number, number][]} */
    this.knots = [];
    /** The places that are shown, in seconds. @type {[number, number]} */
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
    const seconds = (/** @type {any} */ _plot, /** @type {number[]} */ values) => values.map((value) => clock(along(this.knots, value, true)));
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
      const x = plot.valToPos(along(this.knots, mark.at / 1000), "x", true);
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
    this.marks = model.marks.filter((mark) => mark.variant === variant || mark.variant === null).slice(-40);
    this.knots = timeline(steps);
    this.bands = steps.flatMap((step) => {
      const success = step.prediction?.success;
      const to = step.ended ? step.endMs : Math.max(step.endMs, step.startMs + Math.min(step.started.duration_ms, 600000));
      return success ? [{ from: along(this.knots, step.startMs / 1000), to: along(this.knots, to / 1000), low: success.low, high: success.high }] : [];
    });
    const first = steps[0]?.startMs ?? 0;
    const start = along(this.knots, first / 1000);
    this.range = [start, Math.max(start + 1, ...steps.map((step) => along(this.knots, step.endMs / 1000)))];
    /** @type {(Point|null)[]} */
    const points = steps.flatMap((step) => [null, ...step.points, null]);
    // A gap between two steps reaches from just after the last point of one to just before the first of the next.
    const times = points.map((point, index) => {
      const [before, after] = [points[index - 1], points[index + 1]];
      return along(this.knots, (point ? point.at : before ? before.at + 1 : after ? after.at - 1 : first) / 1000);
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
    return `Rates over time; now ${rate(perSecond(point.requests, point.length))} requests and ${rate(perSecond(point.attempts, point.calledLength ?? point.length))} attempts per second`;
  }
  return `Latency over time; now p50 ${millis(point.p50)}, p99 ${millis(point.p99)}`;
}
