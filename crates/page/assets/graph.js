// The call graph: services, and on each call its rate, success and attempts.

import { byId, element, setAttribute, setText, shorten, vector } from "./dom.js";
import { SHAPES, factor, grade, percent, rate } from "./format.js";
import { arrange, sharedServices } from "./layout.js";

/** @typedef {{edge: import("./types.js").EdgeCounts, now: import("./types.js").EdgeCounts, rate: ?number}} LiveEdge */

const NODE = { width: 136, height: 40 };
const LABEL = { width: 122, height: 50 };
/** Between the labels of calls to one service, which stand one before the other. */
const GAP = 6;
/** The height of a label that names its caller. */
const NAMED = LABEL.height + 14;

/** Draws the graph into its card and keeps the elements between updates. */
export class GraphView {
  /** @param {(chosen: {from?: string, to: string}) => void} choose */
  constructor(choose) {
    this.choose = choose;
    this.place = byId("graph");
    this.shape = "";
    this.isNarrow = false;
    this.measure();
    /** @type {Map<string, {group: SVGGElement, line: SVGPathElement, flow: SVGPathElement, texts: SVGTextElement[]}>} */
    this.lines = new Map();
    /** @type {Map<string, {group: SVGGElement, text: SVGTextElement}>} */
    this.policies = new Map();
  }

  /** Reads the width of the place; between changes of the document the browser would have to lay it out for that. */
  measure() {
    this.isNarrow = this.place.clientWidth < 560;
  }

  /** @param {LiveEdge[]} edges @param {import("./types.js").Details} details */
  show(edges, details) {
    const names = [...new Set(edges.flatMap(({ edge }) => [edge.from, edge.to]))];
    const vertical = this.isNarrow;
    const shape = JSON.stringify([vertical, names.length > 0 || byId("lesson").hidden, edges.map(({ edge }) => [edge.from, edge.to])]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.draw(names, edges, vertical);
    }
    for (const live of edges) {
      const { from, to } = live.edge;
      this.update(live, details.edges.find((one) => one.from === from && one.to === to)?.mutual_tls ?? null);
    }
    for (const [name, { group, text }] of this.policies) {
      const policy = details.services[name]?.policy;
      setText(text, policy ? shorten(policy, 20) : "");
      setAttribute(group, "aria-description", `Service ${shorten(name, 80)}${policy ? `, policy ${shorten(policy, 80)}` : ""}`);
    }
  }

  /** @param {string[]} names @param {LiveEdge[]} edges @param {boolean} vertical */
  draw(names, edges, vertical) {
    this.lines.clear();
    this.policies.clear();
    if (!names.length) {
      const isIdle = document.body.classList.contains("with-controls") && byId("lesson").hidden;
      this.place.replaceChildren(element("p", { class: "empty" }, `No call was counted yet.${isIdle ? " Start the load, or run a scenario." : ""}`));
      return;
    }
    const calls = edges.map(({ edge }) => edge);
    const spacing = vertical
      ? { along: 126, across: NODE.width + 14, margin: /** @type {[number, number]} */ ([30, NODE.width / 2 + 4]), vertical }
      : { along: NODE.width + LABEL.width + 26, across: 72, margin: /** @type {[number, number]} */ ([NODE.width / 2 + 4, 36]), vertical };
    const { shared, layer } = sharedServices(names, calls);
    /** @type {Map<number, number>} */
    const extra = new Map();
    for (const [name, callers] of shared) {
      const at = layer.get(name) ?? 0;
      const first = vertical ? NAMED - LABEL.height : 0;
      extra.set(at, Math.max(extra.get(at) ?? 0, first + (callers.length - 1) * ((vertical ? NAMED : LABEL.width) + GAP)));
    }
    const { places, width, height } = arrange(names, calls, { ...spacing, extra });
    const svg = vector("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Call graph" });
    const under = vector("g");
    const above = vector("g");
    svg.append(under, above);
    for (const edge of calls) {
      const [from, to] = [places.get(edge.from), places.get(edge.to)];
      const callers = shared.get(edge.to) ?? [];
      if (from && to) above.append(this.line(under, edge, from, to, vertical, callers.includes(edge.from) ? callers.indexOf(edge.from) : null));
    }
    for (const name of names) {
      const at = places.get(name);
      if (at) above.append(this.node(name, at));
    }
    this.place.replaceChildren(svg);
    for (const [texts, room] of /** @type {[string, number][]} */ ([[".name", NODE.width - 12], [".caller", LABEL.width - 8]])) {
      for (const text of /** @type {NodeListOf<SVGTextElement>} */ (svg.querySelectorAll(texts))) {
        if (text.getComputedTextLength() <= room) continue;
        text.setAttribute("textLength", String(room));
        text.setAttribute("lengthAdjust", "spacingAndGlyphs");
      }
    }
  }

  /** @param {string} name @param {{x: number, y: number}} at */
  node(name, at) {
    const [x, y] = [at.x - NODE.width / 2, at.y - NODE.height / 2];
    const policy = vector("text", { x: at.x, y: at.y + 14, class: "policy" });
    const open = () => this.choose({ to: name });
    const group = vector(
      "g",
      { class: "node", role: "button", tabindex: 0, onclick: open, onkeydown: onEnter(open) },
      vector("rect", { x, y, width: NODE.width, height: NODE.height, rx: 8 }, vector("title", {}, shorten(name, 300))),
      vector("text", { x: at.x, y: at.y - 1, class: "name" }, shorten(name, 17)),
      policy,
    );
    this.policies.set(name, { group, text: policy });
    return group;
  }

  /** @param {SVGGElement} under @param {{from: string, to: string}} edge @param {{x: number, y: number}} from @param {{x: number, y: number}} to @param {boolean} vertical @param {?number} order among the calls to a service with several callers */
  line(under, edge, from, to, vertical, order) {
    const size = { width: LABEL.width, height: order === null ? LABEL.height : NAMED };
    const [path, middle] = curve(from, to, vertical, size, order ?? 0);
    const line = vector("path", { d: path, class: "line" });
    const flow = vector("path", { d: path, class: "flow" });
    under.append(line, flow);
    const top = middle.y - size.height / 2;
    const base = order === null ? 13 : 27;
    const texts = [0, 1, 2].map((row) => vector("text", { x: middle.x, y: top + base + row * 15 }));
    const caller = order === null ? [] : [vector("text", { class: "caller", x: middle.x, y: top + 12 }, `from ${shorten(edge.from, 14)}`)];
    const open = () => this.choose(edge);
    const back = { x: middle.x - size.width / 2, y: top, ...size, rx: 6 };
    const group = vector(
      "g",
      { class: "call", role: "button", tabindex: 0, onclick: open, onkeydown: onEnter(open) },
      vector("rect", back),
      ...texts,
      ...caller,
    );
    this.lines.set(JSON.stringify([edge.from, edge.to]), { group, line, flow, texts });
    return group;
  }

  /** @param {LiveEdge} live @param {?boolean} mutualTls */
  update({ edge, now, rate: perSecond }, mutualTls) {
    const drawn = this.lines.get(JSON.stringify([edge.from, edge.to]));
    if (!drawn) return;
    const counts = now.requests > 0 ? now : edge;
    const effective = counts.requests ? counts.succeeded / counts.requests : null;
    const actual = counts.attempts ? counts.attempts_succeeded / counts.attempts : null;
    const looks = grade(effective);
    const secure = tlsText(edge, mutualTls);
    const each = counts.requests && counts.attempts ? counts.attempts / counts.requests : null;
    setText(drawn.texts[0], `${rate(perSecond)}/s${secure}`);
    setText(drawn.texts[1], `${SHAPES[looks]} ${percent(counts.succeeded, counts.requests)} eff.`);
    setText(drawn.texts[2], each === null ? "" : `${percent(counts.attempts_succeeded, counts.attempts)} \u00d7${factor(each)}`);
    setAttribute(drawn.group, "class", `call ${looks}`);
    setAttribute(drawn.line, "class", `line ${looks}`);
    const idle = !perSecond;
    setAttribute(drawn.flow, "class", `flow ${looks}${idle ? " idle" : ""}`);
    const width = Math.min(7, 1.5 + Math.log10(1 + (perSecond ?? 0)) * 1.6);
    setAttribute(drawn.line, "stroke-width", width.toFixed(1));
    // Three speeds: a change of the duration restarts the animation.
    const speed = (perSecond ?? 0) > 100 ? "fast" : (perSecond ?? 0) > 10 ? "medium" : "slow";
    setAttribute(drawn.flow, "data-speed", speed);
    const words = [
      `Call from ${shorten(edge.from, 80)} to ${shorten(edge.to, 80)}`,
      `${rate(perSecond)} requests per second`,
      `effective success ${percent(counts.succeeded, counts.requests)}`,
      `actual success ${actual === null ? "unknown" : percent(counts.attempts_succeeded, counts.attempts)}`,
      `${factor(each)} attempts per request${secure ? "," + secure : ""}`,
    ];
    setAttribute(drawn.group, "aria-description", words.join(", "));
  }
}

/** Returns whether the attempts of a call had mutual TLS; their share where only some had it. @param {import("./types.js").EdgeCounts} edge @param {?boolean} all */
function tlsText(edge, all) {
  const share = edge.attempts && edge.attempts_mutual_tls !== undefined ? edge.attempts_mutual_tls / edge.attempts : null;
  if (share !== null && share > 0 && share < 1) return ` ${Math.max(1, Math.floor(share * 100))}\u202f% mTLS`;
  const isOn = share === null ? all : share === 1;
  return isOn === null ? "" : isOn ? " mTLS" : " no mTLS";
}

/** @param {() => void} open */
function onEnter(open) {
  return (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      open();
    }
  };
}

/**
 * Returns the path of a call and the place of its label.
 * @param {{x: number, y: number}} from
 * @param {{x: number, y: number}} to
 * @param {boolean} vertical
 * @param {{width: number, height: number}} size of the label
 * @param {number} order of the label before the callee: 0 is next to it
 * @returns {[string, {x: number, y: number}]}
 */
function curve(from, to, vertical, size, order) {
  const half = vertical ? NODE.height / 2 : NODE.width / 2;
  const forward = vertical ? to.y > from.y : to.x > from.x;
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  if (!forward) {
    // A call back or to itself passes next to the boxes.
    const aside = { x: middle.x + (vertical ? 90 : 0), y: middle.y + (vertical ? 0 : 66) };
    return [`M${from.x},${from.y} Q${aside.x},${aside.y} ${to.x},${to.y}`, { x: (middle.x + aside.x) / 2, y: (middle.y + aside.y) / 2 }];
  }
  const start = vertical ? { x: from.x, y: from.y + half } : { x: from.x + half, y: from.y };
  const end = vertical ? { x: to.x, y: to.y - half } : { x: to.x - half, y: to.y };
  // The label stands near the callee, where lines of one caller have already parted.
  const label = vertical
    ? { x: to.x, y: end.y - size.height / 2 - 10 - order * (size.height + GAP) }
    : { x: end.x - size.width / 2 - 12 - order * (size.width + GAP), y: to.y };
  const bend = vertical
    ? `M${start.x},${start.y} C${start.x},${start.y + 22} ${end.x},${label.y - size.height / 2 - 8} ${end.x},${label.y} L${end.x},${end.y}`
    : `M${start.x},${start.y} C${start.x + 10},${start.y} ${label.x - size.width / 2 - 6},${end.y} ${label.x},${end.y} L${end.x},${end.y}`;
  return [bend, label];
}
