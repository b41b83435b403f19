// Plays a recorded run: pause, speed, seek. It starts at the end, where the final numbers are.

import { byId, setAttribute, setText } from "./dom.js";
import { clock } from "./format.js";

/** @typedef {import("./types.js").RunEvent} RunEvent */

export class Player {
  /** @param {(events: RunEvent[], fresh: boolean) => void} apply events to add; `fresh` forgets those before */
  constructor(apply) {
    this.apply = apply;
    /** @type {RunEvent[]} */
    this.events = [];
    this.next = 0;
    this.now = 0;
    this.playing = false;
    this.last = 0;
    this.bar = byId("replay");
    this.button = byId("play");
    this.speed = /** @type {HTMLSelectElement} */ (byId("speed"));
    this.seek = /** @type {HTMLInputElement} */ (byId("seek"));
    this.time = byId("replay-time");
    this.button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    this.seek.addEventListener("input", () => this.go(Number(this.seek.value)));
  }

  get length() {
    return this.events.at(-1)?.elapsed_ms ?? 0;
  }

  /** @param {RunEvent[]} events */
  load(events) {
    for (const event of events) this.events.push(event);
  }

  /** Shows the bar and the end of the run. */
  ready() {
    this.bar.hidden = false;
    this.seek.max = String(this.length);
    this.go(this.length);
  }

  /** Shows the run as it was at a time. @param {number} time */
  go(time) {
    const fresh = time < this.now || this.next === 0;
    if (fresh) this.next = 0;
    const start = this.next;
    while (this.next < this.events.length && this.events[this.next].elapsed_ms <= time) this.next += 1;
    this.now = time;
    this.apply(this.events.slice(start, this.next), fresh);
    this.show();
  }

  /** Gives everything up to now again. */
  again() {
    this.next = 0;
    this.go(this.now);
  }

  play() {
    if (this.now >= this.length) this.go(0);
    this.playing = true;
    this.last = performance.now();
    this.show();
    const frame = () => {
      if (!this.playing) return;
      const time = performance.now();
      // Four steps a second at the usual speed: as often as a live page gets events.
      if (time - this.last >= 100) {
        const step = (time - this.last) * Number(this.speed.value);
        this.last = time;
        this.go(Math.min(this.length, this.now + step));
        if (this.now >= this.length) return this.pause();
      }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  pause() {
    this.playing = false;
    this.show();
  }

  show() {
    setText(this.button, this.playing ? "Pause" : "Play");
    this.seek.value = String(this.now);
    const text = `${clock(this.now / 1000)} of ${clock(this.length / 1000)}`;
    setText(this.time, text);
    setAttribute(this.seek, "aria-valuetext", text);
  }
}
