// The wall: one cell for each sampled request. Shape and colour show its status, size its latency, and cells fade with age.

import { byId, element, setAttribute, setText } from "./dom.js";
import { whole } from "./format.js";

const PITCH = 20;
/** Cells fade to their end within this time. */
const FADE_MS = 12000;
/** @typedef {"good"|"client"|"bad"|"none"} CellKind */
/** Requests that are kept, for a wall that becomes larger: more than a large screen shows. */
const KEPT = 3000;
/** @type {[CellKind, string][]} */
const KINDS = [["good", "2xx"], ["client", "4xx"], ["bad", "5xx"], ["none", "no response"]];

/** @param {import("./types.js").Sample} sample @returns {CellKind} */
function kindOf(sample) {
  if (sample.status === 0) return "none";
  if (sample.status >= 400 && sample.status < 500) return "client";
  return sample.succeeded ? "good" : "bad";
}

export class WallView {
  constructor() {
    this.canvas = /** @type {HTMLCanvasElement} */ (byId("wall"));
    this.legend = byId("wall-legend");
    /** The last requests, each in the place of its number: what is kept does not grow. */
    this.kinds = new Uint8Array(KEPT);
    this.latencies = new Float32Array(KEPT);
    this.attempts = new Uint8Array(KEPT);
    this.times = new Float64Array(KEPT);
    /** Requests so far, and the number of the one that was in the first cell first. */
    this.added = 0;
    this.first = 0;
    this.columns = 0;
    this.rows = 0;
    /** @type {Map<CellKind, HTMLElement>} */
    this.counts = new Map();
    for (const [kind, words] of KINDS) {
      const count = element("b", { "data-cells": kind }, "0");
      this.counts.set(kind, count);
      this.legend.append(element("li", {}, symbol(kind), ` ${words} `, count));
    }
    this.legend.append(element("li", { class: "hint" }, "smaller: slower \u00b7 number: attempts"));
    this.colours = colours();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.resize();
  }

  clear() {
    this.added = this.first = 0;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const [columns, rows] = [Math.max(1, Math.floor(width / PITCH)), Math.max(1, Math.floor(height / PITCH))];
    if (columns !== this.columns || rows !== this.rows) {
      [this.columns, this.rows] = [columns, rows];
      this.first = Math.max(0, this.added - this.size);
    }
  }

  /** The number of cells. */
  get size() {
    return Math.min(KEPT, this.columns * this.rows);
  }

  /** Returns the place of the newest request of a cell: each gets one after the other, from the first again after the last. @param {number} cell */
  place(cell) {
    const newest = this.added - 1 - this.first;
    if (cell >= this.size || cell > newest) return null;
    return (this.first + newest - ((newest - cell) % this.size)) % KEPT;
  }

  /** @param {import("./types.js").Sample} sample @param {number} at when its tick came, in milliseconds of the run */
  add(sample, at) {
    const place = this.added % KEPT;
    this.kinds[place] = KINDS.findIndex(([kind]) => kind === kindOf(sample));
    this.latencies[place] = sample.latency_ms;
    this.attempts[place] = Math.min(sample.attempts ?? 0, 9);
    this.times[place] = at;
    this.added += 1;
  }

  /** Draws all cells as they are at a time of the run. @param {number} now */
  draw(now) {
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const scale = window.devicePixelRatio || 1;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = "600 11px system-ui, sans-serif";
    /** @type {Object<CellKind, number>} */
    const counts = { good: 0, client: 0, bad: 0, none: 0 };
    for (let cell = 0; cell < this.columns * this.rows; cell += 1) {
      const x = (cell % this.columns) * PITCH + PITCH / 2;
      const y = Math.floor(cell / this.columns) * PITCH + PITCH / 2;
      const place = this.place(cell);
      if (place === null) {
        context.globalAlpha = 1;
        context.fillStyle = this.colours.line;
        context.fillRect(x - 1, y - 1, 2, 2);
        continue;
      }
      const [kind] = KINDS[this.kinds[place]];
      counts[kind] += 1;
      context.globalAlpha = 0.35 + 0.65 * Math.max(0, 1 - Math.max(0, now - this.times[place]) / FADE_MS);
      context.fillStyle = context.strokeStyle = this.colours[kind];
      const size = 8.5 - 4 * Math.min(1, Math.max(0, Math.log10(Math.max(1, this.latencies[place]) / 5) / 2.3));
      shape(context, kind, x, y, size);
      if (this.attempts[place] > 1 && size > 6.5) {
        context.fillStyle = this.colours.paper;
        context.fillText(String(this.attempts[place]), x, y + 0.5);
      }
    }
    context.globalAlpha = 1;
    for (const [kind, target] of this.counts) setText(target, whole(counts[kind]));
    const words = KINDS.map(([kind, text]) => `${counts[kind]} ${text}`).join(", ");
    setAttribute(this.canvas, "aria-label", `The last sampled requests: ${words}`);
  }

  recolour() {
    this.colours = colours();
  }
}

/** @returns {Object<string, string>} */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return { good: of("--good"), bad: of("--bad"), client: of("--some"), none: of("--muted"), line: of("--line"), paper: of("--card") };
}

/** @param {CanvasRenderingContext2D} context @param {CellKind} kind @param {number} x @param {number} y @param {number} size */
function shape(context, kind, x, y, size) {
  context.beginPath();
  if (kind === "good") context.arc(x, y, size, 0, 7);
  else if (kind === "bad") {
    context.moveTo(x, y - size);
    context.lineTo(x + size, y + size * 0.8);
    context.lineTo(x - size, y + size * 0.8);
  } else if (kind === "client") {
    context.moveTo(x, y - size);
    context.lineTo(x + size, y);
    context.lineTo(x, y + size);
    context.lineTo(x - size, y);
  } else {
    const arm = size * 0.7;
    context.lineWidth = 2.5;
    context.moveTo(x - arm, y - arm);
    context.lineTo(x + arm, y + arm);
    context.moveTo(x + arm, y - arm);
    context.lineTo(x - arm, y + arm);
    context.stroke();
    return;
  }
  context.fill();
}

/** @param {CellKind} kind */
function symbol(kind) {
  const text = { good: "\u25cf", client: "\u25c6", bad: "\u25b2", none: "\u2715" }[kind];
  return element("span", { class: `symbol ${kind}`, "aria-hidden": "true" }, text);
}
