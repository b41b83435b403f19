// What the events of a run say so far. All views read from here; counts are those of the events, unchanged.

import { MOST_POINTS, Series } from "./series.js";

/** @typedef {import("./types.js").RunEvent} RunEvent */
/** @typedef {import("./types.js").Mark} Mark */
/** @typedef {import("./types.js").Counts} Counts */
/** @typedef {import("./types.js").EdgeCounts} EdgeCounts */
/** @typedef {import("./types.js").Sample} Sample */

/** A point has at least this length, in milliseconds. */
const POINT_MS = 900;
/** Changes that are kept. */
const MOST_MARKS = 200;
/** Sampled requests that are kept until the page draws them, which a page in the background does not: more than the wall shows. */
const MOST_SAMPLES = 4000;

/** @returns {Counts} */
function noCounts() {
  return { offered: 0, requests: 0, succeeded: 0, in_time: 0 };
}

/** Returns how many points a step of a length has, in milliseconds; of a step without a length, which can last hours, the most. @param {number} length */
function pointsOf(length) {
  return length ? Math.min(MOST_POINTS, 100 + Math.ceil(length / POINT_MS)) : MOST_POINTS;
}

/** What was measured in a step of a variant. */
export class StepRecord {
  /** @param {?string} variant @param {string} name @param {import("./types.js").StepStarted} [started] */
  constructor(variant, name, started = { step: name, offered_per_second: 0, duration_ms: 0 }) {
    this.variant = variant;
    this.name = name;
    this.startMs = 0;
    this.endMs = 0;
    this.started = started;
    /** @type {?import("./types.js").Prediction} */
    this.prediction = null;
    this.load = noCounts();
    /** @type {EdgeCounts[]} */
    this.edges = [];
    /** @type {import("./types.js").ServiceCounts[]} */
    this.services = [];
    /** @type {?import("./types.js").Quantiles} */
    this.latency = null;
    /** @type {[number, number][]} */
    this.latencies = [];
    /** Whether it has begun: a prediction comes before. */
    this.begun = false;
    this.ended = false;
    /** @type {?string} */
    this.why = null;
    this.points = new Series(pointsOf(started.duration_ms));
    /** The counts of the last point, and of the last one with edges. @type {{at: number, load: Counts, edges: ?EdgeCounts, edgesAt: number}} */
    this.base = { at: 0, load: noCounts(), edges: null, edgesAt: 0 };
    /** Edges at the last two scrapes, for rates. @type {{at: number, edges: EdgeCounts[]}[]} */
    this.scrapes = [];
  }

  /** The sum of the edges whose attempts the chart shows. @param {EdgeCounts[]} edges @returns {?EdgeCounts} */
  watched(edges) {
    const name = this.started.watched ?? this.started.target;
    const named = edges.filter((edge) => edge.to === name);
    return named.length ? sumEdges(named) : null;
  }

  /** @param {number} at @param {Counts} load @param {EdgeCounts[]} edges @param {?import("./types.js").Quantiles} now @param {boolean} last */
  point(at, load, edges, now, last) {
    const length = at - this.base.at;
    if (length < POINT_MS && !(last && length >= POINT_MS / 2)) return;
    const watched = edges.length ? this.watched(edges) : null;
    const before = this.base.edges;
    // A load from elsewhere is seen at the edges only.
    const own = load.requests > this.base.load.requests || !watched;
    this.points.push({
      at: this.startMs + at,
      length,
      requests: own ? load.requests - this.base.load.requests : watched.requests - (before?.requests ?? 0),
      succeeded: own ? load.succeeded - this.base.load.succeeded : watched.succeeded - (before?.succeeded ?? 0),
      // Since the last point with edges, which may be longer ago than the last point.
      called: watched ? watched.requests - (before?.requests ?? 0) : null,
      calledLength: watched ? at - this.base.edgesAt : null,
      attempts: watched ? watched.attempts - (before?.attempts ?? 0) : null,
      attemptsSucceeded: watched ? watched.attempts_succeeded - (before?.attempts_succeeded ?? 0) : null,
      p50: now?.p50_ms ?? null,
      p99: now?.p99_ms ?? null,
    });
    this.base = { at, load, edges: watched ?? before, edgesAt: watched ? at : this.base.edgesAt };
  }

  /** @param {any} tick */
  tick(tick) {
    this.begun = true;
    this.load = tick.load;
    this.latency = tick.latency ?? this.latency;
    if (tick.edges?.length) {
      this.edges = tick.edges;
      this.scrapes.push({ at: tick.at_ms, edges: tick.edges });
      while (this.scrapes.length > 2 && tick.at_ms - this.scrapes[1].at >= 2000) this.scrapes.shift();
    }
    if (tick.services?.length) this.services = tick.services;
    this.endMs = this.startMs + tick.at_ms;
    this.point(tick.at_ms, tick.load, tick.edges ?? [], tick.latency_now ?? null, false);
  }

  /** @param {any} ended */
  end(ended) {
    const totals = ended.totals;
    this.begun = true;
    this.point(totals.duration_ms, totals.load, totals.edges ?? [], null, true);
    this.load = totals.load;
    this.edges = totals.edges ?? [];
    this.services = totals.services ?? [];
    this.latencies = totals.latencies ?? [];
    this.latency = quantiles(this.latencies) ?? this.latency;
    this.endMs = Math.max(this.endMs, this.startMs + totals.duration_ms);
    this.ended = true;
    this.why = ended.why ?? null;
    this.scrapes = [];
  }
}

/** The run so far. */
export class Model {
  constructor() {
    /** @type {any} */
    this.run = null;
    /** @type {Map<string, StepRecord>} */
    this.records = new Map();
    /** @type {(?string)[]} */
    this.variants = [];
    /** @type {Mark[]} */
    this.marks = [];
    /** @type {import("./types.js").ConditionResult[]} */
    this.conditionResults = [];
    /** @type {{at: number, text: string}[]} */
    this.notes = [];
    /** @type {?{status: string, reason?: string}} */
    this.ended = null;
    this.elapsed = 0;
    this.startedAt = "";
    /** Sampled requests of each variant since they were taken last. @type {Map<?string, {at: number, sample: Sample}[]>} */
    this.samples = new Map();
  }

  /** @param {?string} variant @param {string} step */
  record(variant, step) {
    const key = JSON.stringify([variant, step]);
    let found = this.records.get(key);
    if (!found) {
      found = new StepRecord(variant, step);
      this.records.set(key, found);
      if (!this.variants.includes(variant)) this.variants.push(variant);
    }
    return found;
  }

  /** Adds an event; the start of a run forgets the run before. @param {RunEvent} event */
  apply(event) {
    if (event.type === "run-started") Object.assign(this, new Model(), { run: event, startedAt: event.time });
    this.elapsed = Math.max(this.elapsed, event.elapsed_ms);
    const variant = event.variant ?? null;
    switch (event.type) {
      case "step-started": {
        const known = this.record(variant, event.step);
        const again = new StepRecord(variant, event.step, event);
        again.prediction = known.prediction;
        again.startMs = again.endMs = event.elapsed_ms;
        again.begun = true;
        // A step that runs again moves to the end, as it is drawn there.
        const key = JSON.stringify([variant, event.step]);
        this.records.delete(key);
        this.records.set(key, again);
        this.mark({ at: event.elapsed_ms, variant, text: `step ${event.step}`, kind: "step", ends: false });
        break;
      }
      case "prediction":
        this.record(variant, event.step).prediction = event;
        break;
      case "tick": {
        const record = this.record(variant, event.step);
        record.tick(event);
        if (event.samples?.length) this.sampled(variant, event.elapsed_ms, event.samples);
        break;
      }
      case "step-ended":
        this.record(variant, event.step).end(event);
        break;
      case "policy-changed":
        this.mark({ at: event.elapsed_ms, variant, text: `policy ${event.subject} ${event.text}`, kind: "policy", ends: event.ends });
        break;
      case "fault-changed":
        this.mark({ at: event.elapsed_ms, variant, text: changeText(event), kind: "fault", ends: event.ends });
        break;
      case "note":
        this.notes.push({ at: event.elapsed_ms, text: event.text });
        if (this.notes.length > MOST_MARKS) this.notes.shift();
        break;
      case "expectation":
        this.conditionResults.push(event);
        break;
      case "run-ended":
        this.ended = event;
        break;
    }
  }

  /** @param {?string} variant @param {number} at @param {Sample[]} samples */
  sampled(variant, at, samples) {
    const kept = this.samples.get(variant) ?? [];
    for (const sample of samples) kept.push({ at, sample });
    this.samples.set(variant, kept.length > 2 * MOST_SAMPLES ? kept.slice(-MOST_SAMPLES) : kept);
  }

  /** Returns the sampled requests of a variant since they were taken last, and drops those of other variants. @param {?string} variant */
  takeSamples(variant) {
    const taken = this.samples.get(variant) ?? [];
    this.samples.clear();
    return taken;
  }

  /** @param {Mark} mark */
  mark(mark) {
    const same = this.marks.some((known) => known.variant === mark.variant && known.text === mark.text && Math.abs(known.at - mark.at) < 1000);
    if (!same) this.marks.push(mark);
    if (this.marks.length > MOST_MARKS) this.marks.shift();
  }

  /** Returns the steps of a variant that have begun, in the order of time. @param {?string} variant */
  steps(variant) {
    return [...this.records.values()].filter((record) => record.begun && record.variant === variant);
  }

  /** Returns the step of a variant that runs or ran last. @param {?string} variant */
  current(variant) {
    return this.steps(variant).at(-1) ?? null;
  }

  /** Returns the counts of the whole run of a variant. @param {?string} variant */
  whole(variant) {
    const load = noCounts();
    let attempts = 0;
    let attemptsSucceeded = 0;
    // Requests that had these attempts.
    let counted = 0;
    /** @type {[number, number][]} */
    const latencies = [];
    const steps = this.steps(variant);
    for (const step of steps) {
      const watched = step.watched(step.edges);
      const counts = step.load.requests || !watched ? step.load : watched;
      load.requests += counts.requests;
      load.succeeded += counts.succeeded;
      if (watched) {
        counted += watched.requests;
        attempts += watched.attempts;
        attemptsSucceeded += watched.attempts_succeeded;
      }
      for (const pair of step.latencies) latencies.push(pair);
    }
    const running = steps.at(-1);
    const latency = (running && !running.ended ? running.latency : null) ?? quantiles(latencies) ?? running?.latency ?? null;
    return { load, counted, attempts: counted ? attempts : null, attemptsSucceeded: counted ? attemptsSucceeded : null, latency };
  }

  /** Returns the edges of the current step with rates of about the last two seconds. @param {?string} variant */
  edges(variant) {
    // A step that was just started has no counts yet.
    const step = this.steps(variant).findLast((one) => one.edges.length > 0);
    if (!step) return [];
    const isOver = step !== this.current(variant);
    const newest = step.scrapes.at(-1);
    const oldest = step.scrapes[0];
    const seconds = newest && oldest && newest !== oldest ? (newest.at - oldest.at) / 1000 : 0;
    return step.edges.map((edge) => {
      const before = seconds ? oldest?.edges.find((other) => other.from === edge.from && other.to === edge.to) : undefined;
      if (!seconds) {
        const length = (step.endMs - step.startMs) / 1000;
        return { edge, now: edge, rate: length > 0 && !isOver ? edge.requests / length : null };
      }
      const now = {
        ...edge,
        requests: edge.requests - (before?.requests ?? 0),
        succeeded: edge.succeeded - (before?.succeeded ?? 0),
        attempts: edge.attempts - (before?.attempts ?? 0),
        attempts_succeeded: edge.attempts_succeeded - (before?.attempts_succeeded ?? 0),
      };
      return { edge, now, rate: now.requests / seconds };
    });
  }
}

/** @param {any} event */
function changeText(event) {
  return event.text.includes(event.subject) ? event.text : `${event.subject}: ${event.text}`;
}

/** @param {EdgeCounts[]} edges @returns {EdgeCounts} */
function sumEdges(edges) {
  const sum = { ...edges[0] };
  for (const edge of edges.slice(1)) {
    sum.requests += edge.requests;
    sum.succeeded += edge.succeeded;
    sum.attempts += edge.attempts;
    sum.attempts_succeeded += edge.attempts_succeeded;
  }
  return sum;
}

/** Returns quantiles of (microseconds, count) pairs, as crates/experiment/src/latency.rs does. @param {[number, number][]} counts */
export function quantiles(counts) {
  const sorted = [...counts].sort((a, b) => a[0] - b[0]);
  const all = sorted.reduce((sum, pair) => sum + pair[1], 0);
  if (!all) return null;
  const at = (/** @type {number} */ q) => {
    const rank = Math.max(1, Math.ceil(all * q));
    let seen = 0;
    for (const [micros, count] of sorted) {
      seen += count;
      if (seen >= rank) return micros / 1000;
    }
    return sorted[sorted.length - 1][0] / 1000;
  };
  return { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: sorted[sorted.length - 1][0] / 1000 };
}
