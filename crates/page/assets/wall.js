// The wall: one cell for each sampled request. Shape and colour show its status, size its latency, and cells fade with age.

import { byId, element, setAttribute, setText } from "./dom.js";
import { whole } from "./format.js";

const PITCH = 20;
/** Cells fade to their end within this time. */
const FADE_MS = 12000;
/** @typedef {"good"|"client"|"bad"|"none"} CellKind */
/** @typedef {{kind: CellKind, latency: number, attempts: number, at: number}} Cell */
/** Cells that are kept: more than a large screen shows. */
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
    /** @type {(Cell|null)[]} */
    this.cells = [];
    /** The last cells, for a wall that becomes larger. @type {Cell[]} */
    this.recent = [];
    this.next = 0;
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
    this.recent = [];
    this.empty();
  }

  empty() {
    this.cells = new Array(this.columns * this.rows).fill(null);
    this.next = 0;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const [columns, rows] = [Math.max(1, Math.floor(width / PITCH)), Math.max(1, Math.floor(height / PITCH))];
    if (columns !== this.columns || rows !== this.rows) {
      [this.columns, this.rows] = [columns, rows];
      this.empty();
      for (const cell of this.recent.slice(-columns * rows)) this.put(cell);
    }
  }

  /** @param {Cell} cell */
  put(cell) {
    this.cells[this.next] = cell;
    this.next = (this.next + 1) % this.cells.length;
  }

  /** @param {import("./types.js").Sample} sample @param {number} at when its tick came, in milliseconds of the run */
  add(sample, at) {
    const cell = { kind: kindOf(sample), latency: sample.latency_ms, attempts: sample.attempts ?? 0, at };
    this.recent.push(cell);
    if (this.recent.length > 2 * KEPT) this.recent = this.recent.slice(-KEPT);
    this.put(cell);
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
    this.cells.forEach((cell, index) => {
      const x = (index % this.columns) * PITCH + PITCH / 2;
      const y = Math.floor(index / this.columns) * PITCH + PITCH / 2;
      if (!cell) {
        context.globalAlpha = 1;
        context.fillStyle = this.colours.line;
        context.fillRect(x - 1, y - 1, 2, 2);
        return;
      }
      counts[cell.kind] += 1;
      context.globalAlpha = 0.35 + 0.65 * Math.max(0, 1 - Math.max(0, now - cell.at) / FADE_MS);
      context.fillStyle = context.strokeStyle = this.colours[cell.kind];
      const size = 8.5 - 4 * Math.min(1, Math.max(0, Math.log10(Math.max(1, cell.latency) / 5) / 2.3));
      shape(context, cell.kind, x, y, size);
      if (cell.attempts > 1 && size > 6.5) {
        context.fillStyle = this.colours.paper;
        context.fillText(String(Math.min(cell.attempts, 9)), x, y + 0.5);
      }
    });
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
