// Three charts over the time of the run: success, rates, latency; with marks of changes and the predicted interval.

import { byId, element, setAttribute, shorten } from "./dom.js";
import { MOST_POINTS } from "./series.js";
import { clock, millis, percent, rate } from "./format.js";

/** @typedef {import("./types.js").Point} Point */
/** @typedef {(point: Point) => ?number} Pick */
/** @typedef {{id: string, title: string, range?: [number, number], unit: (value: number) => string, series: {name: string, colour: string, dash: number[], pick: Pick}[]}} ChartPlan */

const HEIGHT = 168;

const ratio = (/** @type {?number} */ part, /** @type {?number} */ all) => (part === null || !all ? null : Math.min(100, (part / all) * 100));
const perSecond = (/** @type {?number} */ count, /** @type {number} */ length) => (count === null ? null : (count / length) * 1000);

/** @type {ChartPlan[]} */
const PLANS = [
  {
    id: "chart-success",
    title: "Success",
    // Above 100 % is room for the numbers of the marks.
    range: [0, 114],
    unit: (value) => (value > 100 ? "" : `${value}%`),
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

/** The distances of labels on the time axis, in seconds. */
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000];

/** @param {import("./types.js").Mark} mark */
function markColour(mark) {
  return colour(mark.kind === "fault" ? "--bad" : mark.kind === "policy" ? "--retry" : "--muted");
}

/**
 * Returns the numbers of marks at their places, those that would overlap as one text: `3–5`.
 * @param {number[]} places in the order of the marks
 * @param {(text: string) => number} wide the width of a text
 */
export function markNumbers(places, wide) {
  /** @type {{text: string, first: number, place: number}[]} */
  const shown = [];
  places.forEach((place, index) => {
    const last = shown.at(-1);
    if (last && place < last.place + wide(last.text)) last.text = `${last.first + 1}\u2013${index + 1}`;
    else shown.push({ text: String(index + 1), first: index, place });
  });
  return shown;
}

/** The points that there is room for at first: those of a step that lasts long, and gaps. */
const FIRST_ROOM = MOST_POINTS + 2;

/** Draws a line through the points of a series; NaN is a gap, and a point between two gaps is a dot. @param {any} plot @param {number} series @param {number} from @param {number} to */
function line(plot, series, from, to) {
  const stroke = new Path2D();
  const [places, values] = [plot.data[0], plot.data[series]];
  let isDrawing = false;
  for (let index = from; index <= to; index += 1) {
    if (!Number.isFinite(values[index])) {
      isDrawing = false;
      continue;
    }
    const [x, y] = [plot.valToPos(places[index], "x", true), plot.valToPos(values[index], "y", true)];
    if (isDrawing) stroke.lineTo(x, y);
    else if (index < to && Number.isFinite(values[index + 1])) stroke.moveTo(x, y);
    else {
      stroke.moveTo(x - 2, y);
      stroke.lineTo(x + 2, y);
    }
    isDrawing = true;
  }
  return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 1 };
}

/** Returns the highest value of several series, of which NaN is none. @param {Float64Array[]} all */
function highest(all) {
  let most = 0;
  for (const values of all) for (const value of values) if (value > most) most = value;
  return most;
}

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
    /** The places of the points, and gaps between steps. */
    this.times = new Float64Array(FIRST_ROOM);
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
    return { plan, picture, plot, values: plan.series.map(() => new Float64Array(FIRST_ROOM)) };
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
      cursor: { hover: { skip: [NaN] }, drag: { x: false, y: false }, sync: { key: "run" }, points: { size: 7 } },
      scales: { x: { time: false, range: () => this.range }, y: { range: plan.range ?? ((/** @type {any} */ chart) => [0, Math.max(1, 1.2 * highest(chart.data.slice(1)))]) } },
      axes: [
        { ...axis, size: 26, space: 60, incrs: SECONDS, values: seconds },
        { ...axis, size: 48, space: 34, values, ...(plan.range ? { splits: () => [0, 50, 100] } : {}) },
      ],
      series: [
        {},
        ...plan.series.map((one) => ({ label: one.name, stroke: () => colour(one.colour), width: 2.5, dash: one.dash, points: { show: false }, paths: line })),
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
    const places = this.marks.map((mark) => plot.valToPos(along(this.knots, mark.at / 1000), "x", true));
    this.marks.forEach((mark, index) => {
      if (places[index] < left || places[index] > left + width) return;
      context.strokeStyle = markColour(mark);
      context.setLineDash(mark.kind === "step" ? [2 * scale, 3 * scale] : []);
      context.beginPath();
      context.moveTo(places[index], top);
      context.lineTo(places[index], top + height);
      context.stroke();
    });
    // What was changed before the first step or after the last one has its number at the edge.
    const within = places.map((place) => Math.min(left + width - 22 * scale, Math.max(left, place)));
    for (const { text, first, place } of markNumbers(within, (words) => context.measureText(words).width + 6 * scale)) {
      context.fillStyle = markColour(this.marks[first]);
      context.fillText(text, Math.min(place + 3 * scale, left + width - context.measureText(text).width), top + 2 * scale);
    }
    context.restore();
  }

  /** @param {import("./model.js").Model} model @param {?string} variant */
  show(model, variant) {
    const steps = model.steps(variant);
    const drawn = JSON.stringify([
      variant, model.startedAt, model.marks.length, model.marks.at(-1)?.at,
      steps.map((step) => [step.name, step.startMs, step.points.size, step.points.at(-1)?.at, step.prediction?.success, step.ended]),
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
    const size = this.fill(steps);
    const newest = steps.at(-1)?.points.at(-1) ?? null;
    for (const { plan, plot, picture, values } of this.charts) {
      plot.setData([this.times.subarray(0, size), ...values.map((one) => one.subarray(0, size))]);
      setAttribute(picture, "aria-label", summary(plan, newest));
    }
    this.marked();
  }

  /** Writes the points of the steps where the charts read them, with a gap before and after each step; returns how many there are. @param {import("./model.js").StepRecord[]} steps */
  fill(steps) {
    const needed = steps.reduce((sum, step) => sum + step.points.size + 2, 0);
    if (needed > this.times.length) {
      this.times = new Float64Array(2 * needed);
      for (const chart of this.charts) chart.values = chart.values.map(() => new Float64Array(2 * needed));
    }
    let next = 0;
    const write = (/** @type {number} */ time, /** @type {?Point} */ point) => {
      this.times[next] = along(this.knots, time / 1000);
      for (const { plan, values } of this.charts) plan.series.forEach((one, index) => { values[index][next] = (point && one.pick(point)) ?? NaN; });
      next += 1;
    };
    for (const { points } of steps) {
      const [first, last] = [points.at(0), points.at(-1)];
      if (!first || !last) continue;
      // A gap between two steps reaches from just after the last point of one to just before the first of the next.
      write(first.at - 1, null);
      for (let index = 0; index < points.size; index += 1) write(points.columns.at[index], points.at(index));
      write(last.at + 1, null);
    }
    return next;
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
