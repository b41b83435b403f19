// What the page keeps of a long run: as much after an hour as after two minutes. `memory.mjs [WORD]` runs the tests whose name
// contains WORD.

import assert from "node:assert/strict";
import { Model } from "../../crates/page/assets/model.js";
import { MOST_POINTS } from "../../crates/page/assets/series.js";
import { RECORDED, browser, collect, served } from "./support.mjs";

const { test, run } = collect();

/** Ticks in a minute: four a second, as a live page gets them. */
const MINUTE = 240;

/** Returns the events of a live run with 200 requests a second, of which 30 % fail: its start, and then a tick for each number from 1 on.
 *  Also used in the page, so it refers to nothing outside itself. */
function liveRun() {
  const started = [
    { type: "run-started", version: 1, time: "2026-01-01T00:00:00Z", elapsed_ms: 0, title: "live", steps: [] },
    { type: "step-started", elapsed_ms: 0, step: "live", target: "back", offered_per_second: 0, duration_ms: 0 },
  ];
  const tick = (number) => {
    const at = number * 250;
    const requests = number * 50;
    const succeeded = requests - number * 15;
    const latency = { p50_ms: 1 + (number % 7) / 10, p95_ms: 3.5, p99_ms: 5 + (number % 11) / 10, max_ms: 9.5 };
    const outcomes = { "first-attempt": succeeded, "not-retryable": requests - succeeded };
    const edge = (from, to) => ({ from, to, requests, succeeded, attempts: requests + number, attempts_succeeded: succeeded, outcomes, latency });
    const samples = Array.from({ length: 10 }, (_, index) => ({ start_ms: at - index * 20 + 0.5, latency_ms: 1.5 + index, status: index < 3 ? 500 : 200, succeeded: index > 2, attempts: 1 }));
    const load = { offered: requests, requests, succeeded, in_time: succeeded };
    return { type: "tick", version: 1, time: "2026-01-01T00:00:00Z", elapsed_ms: at, step: "live", at_ms: at, load, edges: [edge("client", "front"), edge("front", "back")], latency, latency_now: latency, samples };
  };
  return { started, tick };
}

test("ten hours of ticks keep the points of a fixed size, the whole time, every request and the newest seconds", async () => {
  const { started, tick } = liveRun();
  const model = new Model();
  for (const event of started) model.apply(event);
  const { points } = model.current(null);
  const columns = Object.values(points.columns);
  const ticks = 600 * MINUTE;
  for (let number = 1; number <= ticks; number += 1) model.apply(tick(number));
  assert.equal(model.current(null).points, points);
  assert.deepEqual(Object.values(points.columns).map((column) => column.length), columns.map(() => MOST_POINTS));
  assert.ok(Object.values(points.columns).every((column, index) => column === columns[index]), "no array is replaced");
  const all = Array.from({ length: points.size }, (_, index) => points.at(index));
  const sum = (name) => all.reduce((total, point) => total + point[name], 0);
  assert.ok(all.length > MOST_POINTS / 4 && all.length <= MOST_POINTS, `${all.length} points`);
  assert.deepEqual(["length", "requests", "succeeded", "called", "attempts", "attemptsSucceeded"].map(sum), [ticks * 250, ticks * 50, ticks * 35, ticks * 50, ticks * 51, ticks * 35]);
  assert.ok(all.every((point, index) => point.at === (all[index - 1]?.at ?? 0) + point.length), "no time is missing");
  assert.ok(Math.max(...all.map((point) => point.length)) <= 160000, "the oldest points are not coarser than others of their age");
  assert.deepEqual(all.slice(-10).map((point) => point.length), Array(10).fill(1000));
});

test("a page in the background keeps the sampled requests of a wall, and a bounded list of changes", async () => {
  const { started, tick } = liveRun();
  const model = new Model();
  for (const event of started) model.apply(event);
  for (let number = 1; number <= 60 * MINUTE; number += 1) {
    model.apply(tick(number));
    model.apply({ type: "fault-changed", elapsed_ms: number * 250, subject: "back", text: `${number % 100} % of requests fail`, ends: false });
    model.apply({ type: "note", elapsed_ms: number * 250, text: `note ${number}` });
  }
  assert.ok(model.marks.length <= 200 && model.notes.length <= 200, `${model.marks.length} marks, ${model.notes.length} notes`);
  const samples = model.takeSamples(null);
  assert.ok(samples.length >= 4000 && samples.length <= 8000, `${samples.length} samples`);
  assert.equal(samples.at(-1).at, 60 * MINUTE * 250);
  assert.deepEqual(model.takeSamples(null), []);
});

test("after an hour the page has the heap, the elements and the listeners that it had after two minutes", async () => {
  // Without compiled code, which V8 makes when it likes, the size of the heap is that of the page's objects.
  const engine = await browser("--js-flags=--jitless");
  const server = await served(["replay", RECORDED]);
  try {
    const page = await engine.newPage();
    await page.addInitScript(() => {
      window.handlers = {};
      window.EventSource = class { addEventListener(name, handle) { window.handlers[name] = handle; } };
    });
    await page.goto(server.url);
    await page.evaluate((source) => {
      const { started, tick } = new Function(`${source}; return liveRun();`)();
      const give = (name, data) => window.handlers[name]({ data: JSON.stringify(data) });
      window.handlers.open({});
      give("state", { mode: "live", title: "live", allowed: false, reason: null, load: null, faults: [], policies: [], scenarios: [], run: null, error: null });
      give("events", started);
      let given = 0;
      /** Gives the page its events up to a tick, several in a frame. */
      window.upTo = (last) => new Promise((done) => {
        const frame = () => {
          if (given >= last) return requestAnimationFrame(done);
          for (const end = Math.min(given + 40, last); given < end;) give("events", [tick(given += 1)]);
          requestAnimationFrame(frame);
        };
        frame();
      });
    }, liveRun.toString()).catch((error) => assert.fail(error));
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable");
    await session.send("HeapProfiler.enable");
    const kept = async (minutes) => {
      await page.evaluate((last) => window.upTo(last), minutes * MINUTE);
      await session.send("HeapProfiler.collectGarbage");
      const { metrics } = await session.send("Performance.getMetrics");
      const [heap, elements, listeners] = ["JSHeapUsedSize", "Nodes", "JSEventListeners"].map((name) => metrics.find((one) => one.name === name).value);
      return { heap, elements, listeners };
    };
    const [early, late] = [await kept(2), await kept(60)];
    console.log(`    heap after 2 minutes ${early.heap} bytes, after an hour ${late.heap} bytes`);
    assert.ok(late.heap <= early.heap * 1.01, "the heap grows");
    assert.deepEqual([late.elements, late.listeners], [early.elements, early.listeners]);
    assert.equal(await page.textContent("[data-whole=requests]"), `run: ${new Intl.NumberFormat("en").format(60 * MINUTE * 50)}`);
  } finally {
    await server.end();
    await engine.close();
  }
});

process.exit((await run({ contexts: () => [] }, process.argv[2] ?? "")) ? 1 : 0);
