// What the views draw of a recorded run. `views.mjs [WORD]` runs the tests whose name contains WORD.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { RECORDED, browser, collect, layoutFaults, open, served } from "./support.mjs";

const { test, run } = collect();

const recorded = readFileSync(RECORDED, "utf8").trim().split("\n").map((line) => JSON.parse(line));

async function replay(work, file = RECORDED) {
  const server = await served(["replay", file]);
  try {
    return await work(server.url);
  } finally {
    await server.end();
  }
}

/** Writes the events of a run; returns the file. */
function written(events) {
  const file = `${mkdtempSync(`${tmpdir()}/meshy-views-`)}/run.events.jsonl`;
  writeFileSync(file, events.map((event) => JSON.stringify(event)).join("\n"));
  return file;
}

const until = (page, condition, argument) => page.waitForFunction(condition, argument, { timeout: 20000 });

test("a long pause between two steps is short in the charts", async () => {
  const { timeline, along } = await import("../../crates/page/assets/chart.js");
  const knots = timeline([{ startMs: 2000, endMs: 10000 }, { startMs: 310000, endMs: 320000 }, { startMs: 320500, endMs: 321000 }]);
  assert.deepEqual([2, 10, 310, 320, 321, 325].map((time) => along(knots, time)), [2, 10, 11.5, 21.5, 22.5, 26.5]);
  for (const time of [1, 5, 160, 315, 400]) assert.ok(Math.abs(along(knots, along(knots, time), true) - time) < 1e-9, `${time}`);
});

test("a share of a few seconds is at most 100 %", async () => {
  const { percent } = await import("../../crates/page/assets/format.js");
  assert.deepEqual([percent(12, 10), percent(10, 10), percent(1, 4), percent(0, 0)], ["100\u202f%", "100\u202f%", "25.0\u202f%", "\u2013"]);
});

test("numbers of marks that would overlap are one text", async () => {
  const { markNumbers } = await import("../../crates/page/assets/chart.js");
  const wide = (text) => text.length * 7 + 4;
  assert.deepEqual(markNumbers([0, 0, 40, 60, 66, 72, 110], wide).map(({ text, place }) => [text, place]), [["1\u20132", 0], ["3", 40], ["4\u20136", 60], ["7", 110]]);
  assert.deepEqual(markNumbers([], wide), []);
});

test("each line of the charts is drawn, in its colour", (engine) => replay(async (url) => {
  const { page } = await open(engine, url);
  await until(page, () => document.querySelectorAll("tr[data-step]").length === 5);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const drawn = await page.evaluate(() => [...document.querySelectorAll("#charts canvas")].map((canvas) => {
    const context = canvas.getContext("2d");
    // Marks have the colours of lines; a line that has values in the middle of the run has more than their columns.
    const columns = (colour) => {
      const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
      const [red, green, blue] = colour.match(/../g).map((part) => parseInt(part, 16));
      const found = new Set();
      for (let at = 0; at < width * height; at += 1) if (data[4 * at] === red && data[4 * at + 1] === green && data[4 * at + 2] === blue) found.add(at % width);
      return found.size;
    };
    const style = getComputedStyle(document.documentElement);
    return ["--good", "--bad", "--retry"].map((name) => columns(style.getPropertyValue(name).trim().slice(1)));
  }));
  const [success, rates, latency] = drawn;
  assert.ok(success[0] > 40 && success[1] > 20 && rates[0] > 40 && rates[2] > 20 && latency[0] > 40 && latency[1] > 20, JSON.stringify(drawn));
}));

test("a replay keeps the variant that was chosen, with its requests on the wall", async (engine) => {
  // The recorded run as two variants, of which the second one sends one step less.
  const [start, ...rest] = recorded;
  const of = (variant) => rest.filter((event) => variant === "one" || event.step !== "ingress-retries").map((event) => (["run-ended", "expectation"].includes(event.type) ? event : { ...event, variant }));
  const events = [start, ...[...of("one"), ...of("two")].sort((a, b) => a.elapsed_ms - b.elapsed_ms)];
  await replay(async (url) => {
    const { page, errors } = await open(engine, url);
    await page.check("#variants input[value=two]");
    const shows = (count) => until(page, (steps) => document.querySelectorAll("tr[data-step]").length === steps, count);
    await shows(4);
    assert.ok(Number(await page.textContent("[data-cells=good]")) > 0, "the wall has its requests");
    const seek = (time) => page.$eval("#seek", (bar, at) => { bar.value = at; bar.dispatchEvent(new Event("input")); }, time);
    await seek(recorded.find((event) => event.type === "step-ended").elapsed_ms);
    await shows(1);
    await seek(recorded.at(-1).elapsed_ms);
    await shows(4);
    assert.equal(await page.isChecked("#variants input[value=two]"), true);
    assert.deepEqual(errors, []);
  }, written(events));
});

test("the wall has the last requests of the run, also after the window has changed", (engine) => replay(async (url) => {
  const { page } = await open(engine, url);
  const cells = () => page.evaluate(() => [...document.querySelectorAll("[data-cells]")].reduce((sum, one) => sum + Number(one.textContent), 0));
  const sampled = recorded.filter((event) => event.type === "tick").flatMap((event) => event.samples ?? []).length;
  for (const [width, height] of [[2560, 1440], [400, 800], [1280, 720]]) {
    await page.setViewportSize({ width, height });
    await until(page, (most) => {
      const { clientWidth, clientHeight } = document.querySelector("#wall");
      const shown = [...document.querySelectorAll("[data-cells]")].reduce((sum, one) => sum + Number(one.textContent), 0);
      return shown === Math.min(most, Math.floor(clientWidth / 20) * Math.floor(clientHeight / 20));
    }, sampled);
  }
  assert.ok(sampled > 100 && (await cells()) > 100, `${sampled} requests`);
}));

/** A call graph of twelve services with long names, three of which call one other. */
const NAMES = ["ingress", "storefront-web-application", "recommendation-service-eu-west-3", "checkout", "payment-gateway-adapter", "inventory-and-stock-levels", "shipping-quotes", "email", "fraud-detection-model-serving", "currency", "product-catalogue-read-replica", "ad"];
const CALLS = [[0, 1], [1, 2], [1, 3], [1, 11], [3, 4], [3, 5], [3, 6], [3, 7], [4, 8], [6, 9], [2, 10], [5, 10], [1, 10]];

function large() {
  const edges = ([edge]) => CALLS.map(([from, to]) => ({ ...edge, from: NAMES[from], to: NAMES[to], attempts_mutual_tls: edge.attempts - (to % 3) }));
  return recorded.map((event) => {
    if (event.type === "tick" && event.edges?.length) return { ...event, edges: edges(event.edges) };
    if (event.type === "step-ended") return { ...event, totals: { ...event.totals, edges: edges(event.totals.edges) } };
    return event;
  });
}

for (const [width, height] of [[400, 800], [1280, 720], [2560, 1440]]) {
  test(`twelve services with long names, of which some have several callers, do not overlap at ${width} pixels`, (engine) => replay(async (url) => {
    const { page, errors } = await open(engine, url, { viewport: { width, height } });
    await until(page, (count) => document.querySelectorAll("#graph .call").length === count, CALLS.length);
    assert.deepEqual([await layoutFaults(page), errors], [[], []]);
    const callers = await page.locator("#graph .caller").allTextContents();
    assert.deepEqual(callers.sort(), ["from inventory-and\u2026", "from recommendatio\u2026", "from storefront-we\u2026"]);
    const wide = await page.evaluate(() => [...document.querySelectorAll("#graph .node, #graph .call")].filter((group) => {
      const room = group.querySelector("rect").getBBox().width;
      return [...group.querySelectorAll("text")].some((text) => text.getBBox().width > room);
    }).map((group) => group.textContent));
    assert.deepEqual(wide, [], "texts that are wider than their box");
  }, written(large())));
}

test("the check of the layout finds planted faults", (engine) => replay(async (url) => {
  const { page } = await open(engine, url, { viewport: { width: 400, height: 800 } });
  await until(page, () => document.querySelectorAll("tr[data-step]").length === 5);
  assert.deepEqual(await layoutFaults(page), []);
  const planted = {
    "the page is": "main { width: 500px; }",
    overlap: ".tile .now { margin-top: -20px; }",
    "has 10 px": ".legend-line { font-size: 10px; }",
    "is outside of the window": "h1 { position: relative; left: 300px; white-space: nowrap; }",
    "is broken within the word": ".tile dt { width: 40px; }",
  };
  for (const [fault, style] of Object.entries(planted)) {
    await page.evaluate((text) => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(text);
      document.adoptedStyleSheets = [sheet];
    }, style);
    const found = await layoutFaults(page);
    assert.ok(found.some((one) => one.includes(fault)), `${fault}: ${found}`);
    await page.evaluate(() => { document.adoptedStyleSheets = []; });
  }
  assert.deepEqual(await layoutFaults(page), []);
}));

const engine = await browser();
const failed = await run(engine, process.argv[2] ?? "");
await engine.close();
process.exit(failed ? 1 : 0);
