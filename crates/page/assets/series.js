// Points of a step over time, in a fixed amount of memory: as a run becomes longer, its points become coarser, except the newest.

/** @typedef {import("./types.js").Point} Point */

/** Points that are kept of a step. */
export const MOST_POINTS = 1200;
/** The newest points, which stay as they came: what "now" shows. */
const FRESH = 60;
/** The length up to which points are merged at first, in milliseconds; it doubles when merging no longer frees enough. */
const FIRST_LENGTH = 2000;

/** @param {number} value */
const known = (value) => (Number.isNaN(value) ? null : value);

/** A list of points: one typed array for each value, allocated once. */
export class Series {
  /** @param {number} [most] points that it can hold */
  constructor(most = MOST_POINTS) {
    this.most = most;
    this.size = 0;
    /** Points of this length are not merged further, in milliseconds. */
    this.longest = FIRST_LENGTH;
    const column = () => new Float64Array(most);
    /** A value that is not known is NaN. */
    this.columns = { at: column(), length: column(), requests: column(), succeeded: column(), called: column(), calledLength: column(), attempts: column(), attemptsSucceeded: column(), p50: column(), p99: column() };
  }

  /** Returns a point by its index, from the end for a negative one. @param {number} index @returns {?Point} */
  at(index) {
    const place = index < 0 ? this.size + index : index;
    if (place < 0 || place >= this.size) return null;
    const { at, length, requests, succeeded, called, calledLength, attempts, attemptsSucceeded, p50, p99 } = this.columns;
    return {
      at: at[place],
      length: length[place],
      requests: requests[place],
      succeeded: succeeded[place],
      called: known(called[place]),
      calledLength: known(calledLength[place]),
      attempts: known(attempts[place]),
      attemptsSucceeded: known(attemptsSucceeded[place]),
      p50: known(p50[place]),
      p99: known(p99[place]),
    };
  }

  /** @param {number} index @param {Point} point */
  set(index, point) {
    for (const [name, column] of Object.entries(this.columns)) column[index] = point[/** @type {keyof Point} */ (name)] ?? NaN;
  }

  /** @param {Point} point */
  push(point) {
    if (this.size === this.most) this.shrink();
    this.set(this.size, point);
    this.size += 1;
  }

  /** Merges neighbours until at least a quarter is free. */
  shrink() {
    const enough = this.most * 0.75;
    this.merge();
    while (this.size > enough && this.longest < Number.MAX_SAFE_INTEGER) {
      this.longest *= 2;
      this.merge();
    }
  }

  /** Merges each two neighbours that are together not longer than `longest`, except the newest points. */
  merge() {
    const fresh = Math.max(0, this.size - Math.min(FRESH, this.most >> 2));
    let kept = 0;
    let index = 0;
    while (index < this.size) {
      const first = /** @type {Point} */ (this.at(index));
      const second = index + 1 < fresh ? this.at(index + 1) : null;
      const pair = second !== null && first.length + second.length <= this.longest * 1.25;
      this.set(kept, pair ? merged(first, second) : first);
      kept += 1;
      index += pair ? 2 : 1;
    }
    this.size = kept;
  }
}

/** Returns what two neighbours say together. @param {Point} first @param {Point} second @returns {Point} */
function merged(first, second) {
  const add = (/** @type {?number} */ a, /** @type {?number} */ b) => (a === null || b === null ? a ?? b : a + b);
  const mean = (/** @type {?number} */ a, /** @type {?number} */ b) => (a === null || b === null ? a ?? b : (a + b) / 2);
  const most = (/** @type {?number} */ a, /** @type {?number} */ b) => (a === null || b === null ? a ?? b : Math.max(a, b));
  return {
    at: second.at,
    length: first.length + second.length,
    requests: first.requests + second.requests,
    succeeded: first.succeeded + second.succeeded,
    called: add(first.called, second.called),
    calledLength: add(first.calledLength, second.calledLength),
    attempts: add(first.attempts, second.attempts),
    attemptsSucceeded: add(first.attemptsSucceeded, second.attemptsSucceeded),
    p50: mean(first.p50, second.p50),
    p99: most(first.p99, second.p99),
  };
}
