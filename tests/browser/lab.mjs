// The page of a real lab: an embedded cluster with the original demo. `lab.mjs [WORD]` runs the tests whose name contains WORD.
// Times are measured inside of the page, from what the viewer does to what the viewer sees; `within` has the bounds.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { promisify } from "node:util";
import { browser, collect, open, root, served, steps, texts, violations, watchFor } from "./support.mjs";

const program = process.env.MESHY ?? `${root}target/debug/meshy`;
const home = mkdtempSync(`${tmpdir()}/meshy-lab-`);
const env = { ...process.env, HOME: home, NO_COLOR: "1", DOCKER_HOST: "unix:///nonexistent.sock" };
for (const name of ["XDG_STATE_HOME", "KUBECONFIG"]) delete env[name];

/** Runs a command of meshy; returns what it printed. */
const meshy = async (...args) => (await promisify(execFile)(program, args, { env, maxBuffer: 1e8 })).stdout;
/** Fails if something is left that a run has changed. */
async function assertRestored() {
  const { stderr } = await promisify(execFile)(program, ["run", "--restore"], { env });
  assert.match(stderr, /nothing to restore/);
}
const dashboard = (...args) => served(["dashboard", "--no-open", ...args], program, env);

const { test, run } = collect();

async function withPage(engine, work, options) {
  const server = await dashboard();
  try {
    return await work({ ...(await open(engine, server.url, options)), url: server.url, server });
  } finally {
    await server.end();
  }
}

const until = (page, condition, argument) => page.waitForFunction(condition, argument, { timeout: 60000 });
const waits = (page) => until(page, () => document.querySelector("#next-step")?.getAttribute("aria-disabled") === "false");
const isOver = (page) => until(page, () => document.querySelector("#stop-run")?.textContent === "Back to the lab");
const whole = (count) => new Intl.NumberFormat("en").format(count);

/** Starts the load at a rate without faults, and waits until its requests are on the wall. */
async function load(page, rate) {
  await page.fill("#fault-0", "0");
  await until(page, () => document.querySelector("#marks").textContent.includes("bounced-service: 0 %"));
  await page.fill("#load-rate", String(rate));
  await page.click("#load-toggle");
  await until(page, () => Number(document.querySelector("[data-cells=good]").textContent) > 20);
  await until(page, () => /now effective 100/.test(document.querySelector("#chart-success .plot").getAttribute("aria-label")));
}

async function stopLoad(page) {
  await page.click("#load-toggle");
  await until(page, () => document.querySelector("#load-toggle").textContent === "Start load");
  // Counts that were read after the load's end: a tick comes four times a second.
  await until(page, () => document.querySelector("[data-now=requests]").textContent === "0.0/s");
}

/** Opens the details of the call between the two services; returns its rows. */
async function details(page) {
  await page.locator("#graph .call").evaluateAll((all) => all.find((one) => one.getAttribute("aria-description")?.includes("to bounced-service")).focus());
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector("#panel-content dl") !== null);
  return () => page.evaluate(() => Object.fromEntries([...document.querySelectorAll("#panel-content dt")].map((term) => [term.textContent, term.nextElementSibling.textContent])));
}

/** The time between two ticks of a page's load (`TICK` of `src/commands/dashboard/record.rs`). */
const TICK_MS = 250;

/**
 * Whether other programs keep the processors: then each millisecond of real time is shared with them. What is bounded instead does
 * not depend on them: the server's ticks, which a quiet machine has every 250 ms, and the processor time of the page.
 */
const isBusy = () => loadavg()[0] > cpus().length;

/** Checks the time from a control to what is seen, on a busy machine as the number of ticks from the change to what is seen. */
function within(bound, { ms, ticks }, what) {
  if (isBusy()) assert.ok(ticks <= bound / TICK_MS, `${what} after ${ticks} ticks (${Math.round(ms)} ms on a busy machine)`);
  else assert.ok(ms <= bound, `${what} after ${ms} ms`);
}

/** Counts the ticks that a page receives since the last change of a fault: `window.ticks`. */
function countTicks(context) {
  return context.addInitScript(() => {
    window.ticks = 0;
    const Source = window.EventSource;
    window.EventSource = class extends Source {
      constructor(...args) {
        super(...args);
        this.addEventListener("events", (message) => {
          for (const { type } of JSON.parse(message.data)) {
            if (type === "tick") window.ticks += 1;
            if (type === "fault-changed") window.ticks = 0;
          }
        });
      }
    };
  });
}

test("first data comes within a second", async (engine) => {
  await withPage(engine, async ({ context, url, errors }) => {
    // The browser and the server have started; what is measured is a viewer who comes.
    const viewer = await context.newPage();
    await watchFor(viewer, "data", "tr[data-step]");
    const session = await context.newCDPSession(viewer);
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    await viewer.goto(url);
    await viewer.waitForFunction(() => "data" in window.watched, null, { timeout: 60000 });
    const time = await viewer.evaluate(() => window.watched.data);
    const { metrics } = await session.send("Performance.getMetrics");
    const work = 1000 * metrics.find((one) => one.name === "TaskDuration").value;
    console.log(`    first data after ${Math.round(time)} ms, with ${Math.round(work)} ms of processor time in the page`);
    assert.ok((isBusy() ? work : time) <= 1000, `${time} ms, ${work} ms of processor time`);
    assert.deepEqual(errors, []);
  });
});

test("a fault set with the slider is in the wall within 1 s and in the chart within 2 s", async (engine) => {
  const fault = await meshy("fault");
  await withPage(engine, async ({ page, context, errors }) => {
    await countTicks(context);
    await page.reload();
    await page.waitForSelector("body[data-ready=true]");
    await load(page, 60);
    assert.equal(await page.textContent("[data-cells=bad]"), "0");
    const { wall, chart } = await page.evaluate(() => new Promise((done) => {
      const [slider, cells, plot] = ["#fault-0", "[data-cells=bad]", "#chart-success .plot"].map((one) => document.querySelector(one));
      const times = {};
      const begun = performance.now();
      const now = () => ({ ms: performance.now() - begun, ticks: window.ticks });
      const seen = () => {
        if (!("wall" in times) && cells.textContent !== "0") times.wall = now();
        if (!("chart" in times) && !/now effective 100/.test(plot.getAttribute("aria-label"))) times.chart = now();
        if ("wall" in times && "chart" in times) done(times);
      };
      new MutationObserver(seen).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["aria-label"] });
      slider.value = "50";
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    }));
    const words = ({ ms, ticks }) => `after ${Math.round(ms)} ms and ${ticks} ticks`;
    console.log(`    in the wall ${words(wall)}, in the chart ${words(chart)}`);
    within(1000, wall, "in the wall");
    within(2000, chart, "in the chart");
    assert.match(await page.textContent("#marks"), /bounced-service: 50 % of requests fail/);
    assert.deepEqual(errors, []);
  });
  assert.equal(await meshy("fault"), fault, "the fault is restored at the end");
});

test("final counts are those of `meshy outcomes`, of the saved file and of a replay", async (engine) => {
  let shown;
  let saved;
  await withPage(engine, async ({ page, errors }) => {
    await load(page, 40);
    await page.fill("#fault-0", "50");
    await page.check("#policy-0");
    await until(page, () => document.querySelector("#marks").textContent.includes("policy"));
    await until(page, () => Number(document.querySelector("[data-cells=bad]").textContent) > 5);
    await stopLoad(page);
    const outcomes = JSON.parse(await meshy("outcomes", "bounced-service", "-o", "json"));
    const rows = await (await details(page))();
    assert.equal(rows.Requests, whole(outcomes.requests_count));
    assert.equal(rows.Attempts.split(" ")[0], whole(outcomes.attempts_count));
    const classes = { "failed, retry budget exhausted": outcomes.no_budget_count, "failed, not retryable": outcomes.not_retryable_count, "failed, retry limit reached": outcomes.limit_count, "timed out": outcomes.timed_out_count };
    for (const [name, count] of Object.entries(classes)) assert.equal(rows[name] ?? "0", whole(count), name);
    const [row] = await steps(page);
    assert.equal(row.attempts, whole(outcomes.attempts_count));
    assert.ok(outcomes.requests_count > 30 && outcomes.attempts_count > outcomes.requests_count, JSON.stringify(outcomes));
    await page.click("#panel-close");
    [shown, saved] = [[await steps(page), await texts(page, "data-whole")], `${home}/live.html`];
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
    await download.saveAs(saved);
    assert.deepEqual(errors, []);
  });
  const counts = ([rows, totals]) => [rows.map(({ step, requests, succeeded, attempts, actual }) => ({ step, requests, succeeded, attempts, actual })), totals.requests, totals.effective, totals.actual, totals.attempts];
  const file = await open(engine, `file://${saved}`);
  assert.deepEqual(counts([await steps(file.page), await texts(file.page, "data-whole")]), counts(shown), "the saved file");
  const replay = await dashboard("--replay", "last");
  const { page, errors } = await open(engine, replay.url);
  await until(page, () => document.querySelector("tr[data-step]") !== null);
  assert.deepEqual(counts([await steps(page), await texts(page, "data-whole")]), counts(shown), "the replay");
  assert.deepEqual(errors, []);
  await replay.end();
});

test("a click shows the policy in force and the state of each endpoint's breaker", async (engine) => {
  await withPage(engine, async ({ page, errors }) => {
    await load(page, 20);
    await page.check("#policy-0");
    await until(page, () => document.querySelector("#policy-0").checked && document.querySelector("#marks").textContent.includes("policy"));
    await details(page);
    await until(page, () => document.querySelector("#panel-content .breakers") !== null);
    const text = await page.textContent("#panel-content pre");
    assert.equal(text.trim(), (await meshy("policy", "show", "bounced-service")).trim());
    assert.match(await page.textContent("#panel-content"), /meshy policy show bounced-service -n default/);
    assert.match(await page.textContent("#panel-content .breakers"), /ready for minimal-service/);
    assert.deepEqual([await violations(page), errors], [[], []]);
  });
});

test("a scenario runs step by step, by keyboard, also without a page", async (engine) => {
  await withPage(engine, async ({ page, context, url, errors }) => {
    const speaker = await context.newPage();
    await speaker.goto(new URL("/speaker", url).href);
    await page.selectOption("#scenario", "retries");
    await page.check("#scenario-short");
    assert.match(await page.textContent("#controls"), /meshy run retries --pause --fast --on-lab/);
    await page.focus("#scenario-start");
    await page.keyboard.press("Enter");
    await waits(page);
    assert.match(await page.textContent("#lesson"), /What share of the requests succeeds/);
    assert.match(await speaker.textContent("#speaker-now"), /about 30\u00a0%/);
    assert.ok(!(await page.textContent("body")).includes("The client sees what the service returns"), "the audience does not see the notes");
    assert.equal(await page.isDisabled("#load-toggle"), true, "the scenario has the controls");
    assert.deepEqual(await violations(page), []);
    for (const command of [{ do: "run", scenario: "storm" }, { do: "load", rate: 1 }, { do: "fault", service: "bounced-service", percent: 0 }]) {
      const [status, text] = await page.evaluate(async (body) => {
        const response = await fetch("do", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
        return [response.status, await response.text()];
      }, command);
      assert.deepEqual([status, /^a scenario (runs|is already running)/.test(text)], [409, true], text);
    }
    // The refusals are errors in the console of the browser.
    errors.length = 0;
    await page.keyboard.press("Enter");
    await until(page, () => document.querySelector('tr[data-step="no-retries"]') !== null);
    // The first step ends while no page is open.
    await page.close();
    await until(speaker, () => document.querySelector("#speaker-results").textContent.includes("no-retries"));
    const again = await open(engine, url);
    await waits(again.page);
    assert.deepEqual((await steps(again.page)).map((row) => row.step), ["no-retries"]);
    const before = await steps(again.page);
    await again.page.reload();
    await waits(again.page);
    assert.deepEqual(await steps(again.page), before, "a reload loses nothing");
    await speaker.bringToFront();
    await speaker.keyboard.press("PageDown");
    await until(again.page, () => document.querySelectorAll("tr[data-step]").length === 2);
    await waits(again.page);
    for (let step = 3; step <= 5; step += 1) {
      await again.page.bringToFront();
      await again.page.keyboard.press("ArrowRight");
      await until(again.page, (count) => document.querySelectorAll("tr[data-step]").length === count, step);
      if (step < 5) await waits(again.page);
    }
    await isOver(again.page);
    assert.equal(await again.page.textContent("#status"), "run completed");
    assert.match(await again.page.textContent("#marks"), /bounced-service/);
    assert.ok((await again.page.locator("#lesson .condition-result").count()) > 0, "the expectations have results");
    const outcomes = JSON.parse(await meshy("outcomes", "bounced-service", "-o", "json"));
    const last = (await steps(again.page)).at(-1);
    assert.equal(last.attempts, whole(outcomes.attempts_count));
    await again.page.click("#stop-run");
    await until(again.page, () => document.querySelector('tr[data-step="live"]') !== null && document.querySelector("#lesson").hidden);
    assert.deepEqual([errors, again.errors], [[], []]);
  });
});

test("a lesson on a topology runs to its end, and another one is ended early", async (engine) => {
  await withPage(engine, async ({ page, errors }) => {
    const start = async () => {
      await page.selectOption("#scenario", "lesson/rate-limit");
      if (await page.isVisible("#scenario-short")) await page.check("#scenario-short");
      await page.click("#scenario-start");
      await waits(page);
    };
    await start();
    const count = await page.locator("#lesson .progress li").count();
    for (let step = 1; step <= count; step += 1) {
      await page.click("#next-step");
      await until(page, (number) => document.querySelectorAll("tr[data-step]").length === number, step);
      await (step < count ? waits(page) : isOver(page));
    }
    assert.equal(await page.textContent("#status"), "run completed");
    await assertRestored();
    await page.click("#stop-run");
    await until(page, () => document.querySelector("#lesson").hidden);
    await start();
    await page.click("#next-step");
    await until(page, () => document.querySelector("tr[data-step]") !== null);
    await page.click("#stop-run");
    await isOver(page);
    assert.equal(await page.textContent("#status"), "run interrupted");
    await assertRestored();
    assert.deepEqual(errors, []);
  });
});

test("ctrl-C ends a run and restores what it changed", async (engine) => {
  const fault = await meshy("fault");
  const server = await dashboard();
  const { page } = await open(engine, server.url);
  await page.selectOption("#scenario", "retries");
  await page.click("#scenario-start");
  await waits(page);
  await page.click("#next-step");
  await until(page, () => document.querySelector("#marks").textContent.includes("bounced-service"));
  await server.end();
  assert.equal(await meshy("fault"), fault);
  await assertRestored();
});

const engine = await browser();
let failed = 1;
try {
  await meshy("up", "--provider", "embedded");
  failed = await run(engine, process.argv[2] ?? "");
} finally {
  await engine.close();
  await meshy("down", "--yes").catch(() => meshy("down"));
  rmSync(home, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
