// Numbers as people read them.

const WHOLE = new Intl.NumberFormat("en");

/** The classes of outcomes in words: docs/tables.md. @type {Object<string, string>} */
export const OUTCOMES = {
  "first-attempt": "succeeded on the first attempt",
  "after-retries": "succeeded after retries",
  "budget-exhausted": "failed, retry budget exhausted",
  "limit-reached": "failed, retry limit reached",
  "not-retryable": "failed, not retryable",
  "timed-out": "timed out",
  "breaker-rejected": "rejected by the circuit breaker",
  "rate-limited": "rejected by a rate limit",
  denied: "denied by policy",
  "load-shed": "rejected by load shedding",
};

/** @param {number} count */
export function whole(count) {
  return WHOLE.format(count);
}

/**
 * Returns a share as percent; `–` where nothing was counted.
 * @param {?number} part
 * @param {?number} all
 */
export function percent(part, all) {
  if (part === null || all === null || !all) return "\u2013";
  // An attempt counts when it starts and its success when it ends, which can be in the next seconds.
  return share(Math.min(1, part / all));
}

/** Returns a share of 0 to 1 as percent. It is 0 % or 100 % only if it is exact. @param {number} ratio */
export function share(ratio) {
  const value = ratio * 100;
  if (value > 0 && value < 0.1) return "< 0.1\u202f%";
  if (value < 100 && value > 99.9) return "> 99.9\u202f%";
  return `${value === 100 || value === 0 ? value : value.toFixed(1)}\u202f%`;
}

/** @param {?number} perSecond */
export function rate(perSecond) {
  if (perSecond === null || !Number.isFinite(perSecond)) return "\u2013";
  return perSecond >= 100 ? whole(Math.round(perSecond)) : perSecond.toFixed(1);
}

/** @param {?number} value */
export function factor(value) {
  return value === null || !Number.isFinite(value) ? "\u2013" : value.toFixed(2);
}

/** @param {?number|undefined} ms */
export function millis(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "\u2013";
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms >= 10000 ? 1 : 2)}\u202fs`;
  return `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)}\u202fms`;
}

/** Returns a time since the start of a run: `1:05`. @param {number} seconds */
export function clock(seconds) {
  const all = Math.max(0, Math.floor(seconds));
  return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
}

/** The class of a share of successes, as colour and shape. @param {?number} ratio @returns {"good"|"some"|"bad"|"none"} */
export function grade(ratio) {
  if (ratio === null || !Number.isFinite(ratio)) return "none";
  return ratio >= 0.99 ? "good" : ratio >= 0.9 ? "some" : "bad";
}

/** The shape of each class: it is seen without colour. */
export const SHAPES = { good: "\u25cf", some: "\u25c6", bad: "\u25b2", none: "\u25cb" };
