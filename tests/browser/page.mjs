// The live page in a browser. `page.mjs [WORD]` runs the tests whose name contains WORD.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { MESHY, RECORDED, browser, collect, layoutFaults, open, served, steps, texts, violations } from "./support.mjs";

const { test, run } = collect();

const recorded = readFileSync(RECORDED, "utf8").trim().split("\n").map((line) => JSON.parse(line));
const live = (work, args = []) => withPage(["live", "40", ...args], work);
const replay = (work) => withPage(["replay", RECORDED], work);

async function withPage(args, work) {
  const server = await served(args);
  try {
    return await work(server.url);
  } finally {
    await server.end();
  }
}

/** Waits until the page says something that is true of its document. */
const until = (page, condition, argument) => page.waitForFunction(condition, argument, { timeout: 20000 });

test("opens with data, edges and no error", (engine) => live(async (url) => {
  const { page, errors } = await open(engine, url);
  await until(page, () => document.querySelectorAll("#graph .call").length === 2);
  const loaded = await page.evaluate(() => performance.now());
  console.log(`    first data ${Math.round(loaded)} ms after the page was requested`);
  await until(page, () => document.querySelector("#graph .call").getAttribute("aria-description").includes("effective success 100"));
  assert.ok(!(await page.url()).includes("token"), "the token leaves the address");
  assert.deepEqual(errors, []);
}));

test("a fault set with the slider is seen in the wall and in the chart", (engine) => live(async (url) => {
  const { page, errors } = await open(engine, url);
  await until(page, () => Number(document.querySelector("[data-cells=good]").textContent) > 10);
  assert.equal(await page.textContent("[data-cells=bad]"), "0");
  const begun = Date.now();
  await page.fill("#fault-0", "50");
  await until(page, () => Number(document.querySelector("[data-cells=bad]").textContent) > 0);
  const wall = Date.now() - begun;
  await until(page, () => /now effective [1-9]\d(\.\d)?.%/.test(document.querySelector("#chart-success .plot").getAttribute("aria-label")));
  console.log(`    in the wall after ${wall} ms, in the chart after ${Date.now() - begun} ms`);
  assert.match(await page.textContent("#marks"), /50 % of requests fail/);
  assert.match(await page.textContent("#controls"), /meshy fault 50 bounced-service/);
  assert.deepEqual(errors, []);
}));

test("policies and load are switched, and each control shows its command", (engine) => live(async (url) => {
  const { page } = await open(engine, url);
  await page.check("#policy-0");
  await until(page, () => document.querySelector("#controls").textContent.includes("meshy sp delete"));
  await page.click("#load-toggle");
  await until(page, () => document.querySelector("#load-toggle").textContent === "Start load");
  await page.fill("#load-rate", "80");
  await until(page, () => document.querySelector("#controls").textContent.includes("meshy traffic --rate 80"));
}));

test("runs a lesson step by step", (engine) => live(async (url) => {
  const { page, errors } = await open(engine, url);
  await page.click("#scenario-start");
  for (const step of ["without", "with"]) {
    await until(page, () => document.querySelector("#next-step")?.getAttribute("aria-disabled") === "false");
    await page.click("#next-step");
    await until(page, (name) => document.querySelector(`tr[data-step="${name}"]`) !== null, step);
  }
  await until(page, () => document.querySelector("#lesson").textContent.includes("The budget allows"));
  await until(page, () => document.querySelector("#status").textContent === "run completed");
  assert.deepEqual((await steps(page)).map((row) => row.step), ["without", "with"]);
  assert.deepEqual(errors, []);
}));

test("the model shows steps that have begun, attempts per request of the same time, and marks of each variant", async () => {
  const { Model } = await import("../../crates/page/assets/model.js");
  const { recent } = await import("../../crates/page/assets/numbers.js");
  const model = new Model();
  const apply = (type, elapsed_ms, more) => model.apply({ type, elapsed_ms, time: "", ...more });
  apply("run-started", 0, { title: "t" });
  for (const step of ["a", "b"]) apply("prediction", 0, { step });
  assert.deepEqual(model.steps(null), []);
  apply("step-started", 1000, { step: "b", watched: "w" });
  const edge = (requests, attempts) => [{ from: "c", to: "w", requests, succeeded: requests, attempts, attempts_succeeded: requests }];
  const tick = (at_ms, requests, edges) => apply("tick", 1000 + at_ms, { step: "b", at_ms, load: { requests, succeeded: requests }, edges });
  tick(1000, 10, edge(10, 20));
  tick(2000, 20, []);
  tick(3000, 30, edge(30, 60));
  assert.deepEqual(model.steps(null).map((step) => step.name), ["b"]);
  const now = recent(model.current(null));
  assert.deepEqual([now.attempts, now.called], [40, 20], "two attempts per request, although a tick had no edges");
  for (const variant of ["x", "y"]) apply("policy-changed", 4000, { variant, subject: "s", text: "applied", ends: false });
  assert.deepEqual(model.marks.filter((mark) => mark.kind === "policy").map((mark) => mark.variant), ["x", "y"]);
});

test("a recorded run has no speaker's page, and says so", (engine) => replay(async (url) => {
  const { page, context } = await open(engine, url);
  assert.equal(await page.locator("a[href=speaker]").isVisible(), false);
  const speaker = await context.newPage();
  const response = await speaker.goto(new URL("/speaker", url).href);
  assert.equal(response.status(), 404);
  assert.match(await speaker.textContent("body"), /a recorded run has no speaker's page[^]*hint: `meshy dashboard`/);
}));

test("the speaker sees notes, the next step and clocks", (engine) => live(async (url) => {
  const { page, context, errors } = await open(engine, url);
  const speaker = await context.newPage();
  await speaker.goto(new URL("/speaker", url).href);
  await page.click("#scenario-start");
  await until(speaker, () => document.querySelector("#speaker-now").textContent.includes("Ask the audience"));
  assert.match(await speaker.textContent("#speaker-next"), /With a budget/);
  await until(speaker, () => document.querySelector("#clock-step").textContent === "\u2013");
  assert.equal(await speaker.isVisible("#results-title"), false, "there is no result before the first step");
  assert.ok(!(await page.textContent("body")).includes("Ask the audience"), "the audience does not see the notes");
  await speaker.click("#speaker-start");
  await until(speaker, () => document.querySelector("#speaker-results").textContent.includes("without"));
  assert.match(await speaker.textContent("#clock-talk"), /^\d+:\d\d$/);
  assert.deepEqual([await violations(speaker), errors], [[], []]);
}));

/** The numbers of the recorded run, from its file. */
function expected() {
  const whole = (count) => new Intl.NumberFormat("en").format(count);
  return recorded.filter((event) => event.type === "step-ended").map((event) => {
    const started = recorded.find((other) => other.type === "step-started" && other.step === event.step);
    const edges = event.totals.edges.filter((edge) => edge.to === (started.watched ?? started.target));
    return { step: event.step, requests: whole(event.totals.load.requests), succeeded: whole(event.totals.load.succeeded), attempts: whole(edges.reduce((sum, edge) => sum + edge.attempts, 0)) };
  });
}

const counts = async (page) => (await steps(page)).map(({ step, requests, succeeded, attempts }) => ({ step, requests, succeeded, attempts }));

test("a replay shows exactly the numbers of the file, and can be sought and played", (engine) => replay(async (url) => {
  const { page, errors } = await open(engine, url);
  await until(page, () => document.querySelectorAll("tr[data-step]").length === 5);
  assert.deepEqual(await counts(page), expected());
  const middle = recorded.find((event) => event.type === "step-ended" && event.step === "retries").elapsed_ms;
  await page.$eval("#seek", (seek, time) => { seek.value = time; seek.dispatchEvent(new Event("input")); }, middle);
  await until(page, () => document.querySelectorAll("tr[data-step]").length === 2);
  assert.deepEqual(await counts(page), expected().slice(0, 2));
  await page.selectOption("#speed", "10");
  await page.click("#play");
  await until(page, () => document.querySelectorAll("tr[data-step]").length === 5 && document.querySelector("#play").textContent === "Play");
  // What the last step of the replay changed is drawn with the next frame.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  assert.deepEqual(await counts(page), expected());
  assert.equal(await page.isVisible("#controls"), false);
  assert.deepEqual(errors, []);
}));

test("the saved file shows the same numbers without a server", (engine) => replay(async (url) => {
  const { page, context } = await open(engine, url);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
  const file = `${mkdtempSync(`${tmpdir()}/meshy-page-`)}/run.html`;
  await download.saveAs(file);
  const requests = [];
  context.on("request", (request) => requests.push(request.url()));
  const saved = await open(engine, `file://${file}`);
  saved.context.on("request", (request) => requests.push(request.url()));
  await until(saved.page, () => document.querySelectorAll("tr[data-step]").length === 5);
  assert.deepEqual(await counts(saved.page), expected());
  assert.deepEqual(await texts(saved.page, "data-whole"), await texts(page, "data-whole"));
  assert.equal(await saved.page.isVisible("#save"), false);
  assert.deepEqual([await violations(saved.page), saved.errors, requests.filter((one) => !one.startsWith("file:"))], [[], [], []]);
}));

test("the file of `meshy report` is what a replay saves: the same page with the report", async (engine) => {
  const folder = mkdtempSync(`${tmpdir()}/meshy-report-`);
  execFileSync(MESHY, ["report", RECORDED, "--out", `${folder}/report.html`]);
  execFileSync(MESHY, ["dashboard", "--replay", RECORDED, "--save", `${folder}/saved.html`]);
  const report = readFileSync(`${folder}/report.html`, "utf8");
  assert.equal(readFileSync(`${folder}/saved.html`, "utf8"), report);
  const server = await served(["dashboard", "--replay", RECORDED, "--no-open"], MESHY);
  const { page, errors } = await open(engine, server.url);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
  await download.saveAs(`${folder}/button.html`);
  assert.equal(readFileSync(`${folder}/button.html`, "utf8"), report);
  const shown = (of) => of.evaluate(() => [".result", ".report"].map((part) => document.querySelector(part).textContent));
  const onPage = await shown(page);
  assert.deepEqual(errors, []);
  await server.end();
  assert.match(onPage[0], /expectations are met/);
  const file = await open(engine, `file://${folder}/report.html`);
  assert.deepEqual(await shown(file.page), onPage);
  assert.deepEqual([await violations(file.page), file.errors], [[], []]);
});

test("the report can be read without scripts", async (engine) => {
  const file = `${mkdtempSync(`${tmpdir()}/meshy-report-`)}/report.html`;
  execFileSync(MESHY, ["report", RECORDED, "--out", file]);
  for (const width of [1280, 400]) {
    const context = await engine.newContext({ javaScriptEnabled: false, viewport: { width, height: 800 } });
    const page = await context.newPage();
    await page.goto(`file://${file}`);
    assert.equal(await page.textContent("h1"), "What retries do");
    for (const part of [".result .verdict", "figure svg.mc", ".conditions", ".report table.overview", ".report article"]) {
      assert.ok(await page.locator(part).first().isVisible(), part);
    }
    assert.deepEqual(await layoutFaults(page), []);
    for (const part of [".columns", "#replay", "#status"]) assert.ok(!(await page.locator(part).isVisible()), part);
    const wide = await page.locator("figure svg:not(.meshy-graph)").evaluateAll((pictures) => pictures.map((picture) => picture.getBoundingClientRect().width));
    assert.ok(wide.length >= 2 && wide.every((one) => one > 300), `${wide}`);
  }
});

test("a reload and a second viewer show the same run", (engine) => live(async (url) => {
  const [one, two] = [await open(engine, url), await open(engine, url)];
  await one.page.click("#load-toggle");
  await until(one.page, () => document.querySelector("#load-toggle").textContent === "Start load");
  const total = async (page) => (await texts(page, "data-whole")).requests;
  await until(two.page, () => document.querySelector("[data-now=requests]").textContent === "0.0/s");
  const before = await total(two.page);
  await one.page.reload();
  await until(one.page, (text) => document.querySelector("[data-whole=requests]").textContent === text, before);
  assert.match(before, /run: [1-9]/);
  assert.deepEqual([one.errors, two.errors], [[], []]);
}));

test("without the token everything is refused", () => live(async (url) => {
  for (const path of ["/", "/speaker", "/events", "/save", "/page.js", "/?token=wrong"]) {
    assert.equal((await fetch(new URL(path, url), { redirect: "manual" })).status, 403, path);
  }
}));

test("another origin gets nothing, also with the cookie", (engine) => live(async (url) => {
  const { page, context } = await open(engine, url);
  const other = createServer((_request, response) => response.setHeader("content-type", "text/html").end("<title>other</title>"));
  await new Promise((done) => other.listen(0, "127.0.0.1", done));
  const attacker = await context.newPage();
  await attacker.goto(`http://127.0.0.1:${other.address().port}/`);
  const got = await attacker.evaluate(async (target) => {
    const tries = {
      read: () => fetch(`${target}events`, { credentials: "include" }).then(() => "read"),
      post: () => fetch(`${target}do`, { method: "POST", credentials: "include", headers: { "content-type": "application/json" }, body: "{\"do\":\"stop-load\"}" }).then(() => "sent"),
      plain: () => fetch(`${target}do`, { method: "POST", credentials: "include", mode: "no-cors", body: "{\"do\":\"stop-load\"}" }).then(() => "opaque"),
      script: () => new Promise((done, failed) => { const tag = document.createElement("script"); tag.src = `${target}page.js`; tag.onload = () => done("loaded"); tag.onerror = failed; document.head.append(tag); }),
      frame: () => new Promise((done) => { const tag = document.createElement("iframe"); tag.src = target; tag.onload = () => { let text = "blocked"; try { text = tag.contentDocument.title; } catch { /* another origin */ } done(text); }; document.body.append(tag); }),
    };
    const results = {};
    for (const [name, attempt] of Object.entries(tries)) results[name] = await attempt().catch(() => "refused");
    return results;
  }, new URL("/", url).href);
  other.close();
  assert.equal(got.read, "refused");
  assert.equal(got.post, "refused");
  assert.equal(got.script, "refused");
  assert.notEqual(got.frame, "Live · meshy");
  assert.equal(await page.textContent("#load-toggle"), "Stop load", "the load goes on");
}));

test("hostile names are shown as text", (engine) => live(async (url) => {
  const { page, errors } = await open(engine, url, { viewport: { width: 400, height: 800 } });
  await until(page, () => document.querySelectorAll("#graph .call").length === 2);
  assert.equal(await page.evaluate(() => document.querySelectorAll("body img").length), 0);
  assert.match(await page.textContent("#title"), /^<img src=x onerror=alert\(1\)>\ufffd\[31mx+/);
  await page.locator("#graph .node").last().focus();
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector("#panel").open);
  assert.match(await page.textContent("#panel-content"), /<img src=x/);
  assert.deepEqual([await layoutFaults(page), errors], [[], []]);
}, ["hostile"]));

test("everything can be done with the keyboard", (engine) => replay(async (url) => {
  const { page } = await open(engine, url);
  const reached = new Set();
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const at = document.activeElement;
      const style = getComputedStyle(at);
      const rect = at.querySelector(":scope > rect");
      const visible = style.outlineStyle !== "none" || (rect !== null && parseFloat(getComputedStyle(rect).strokeWidth) >= 3);
      return { name: at.id || at.getAttribute("class") || at.tagName, visible };
    });
    if (focused.name !== "BODY") assert.ok(focused.visible, `the focus on ${focused.name} is visible`);
    reached.add(focused.name.split(" ")[0]);
    if (focused.name.startsWith("call") && !reached.has("opened")) {
      await page.keyboard.press("Enter");
      await until(page, () => document.querySelector("#panel").open && document.activeElement.id === "panel-close");
      await page.keyboard.press("Enter");
      await until(page, () => !document.querySelector("#panel").open);
      reached.add("opened");
    }
  }
  for (const name of ["save", "play", "seek", "speed", "graph", "call", "node", "opened"]) assert.ok(reached.has(name), `${name} of ${[...reached]}`);
}));

test("load, a fault, a policy and a lesson are controlled with the keyboard alone", (engine) => live(async (url) => {
  const { page, errors } = await open(engine, url);
  /** Presses Tab until an element has the focus. */
  const reach = async (id) => {
    for (let presses = 0; presses < 60; presses += 1) {
      if (await page.evaluate((wanted) => document.activeElement.id === wanted, id)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`Tab does not reach ${id}`);
  };
  await reach("load-toggle");
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector("#load-toggle").textContent === "Start load");
  await page.keyboard.press("Space");
  await until(page, () => document.querySelector("#load-toggle").textContent === "Stop load");
  await reach("fault-0");
  for (let presses = 0; presses < 5; presses += 1) await page.keyboard.press("ArrowRight");
  await until(page, () => document.querySelector("#controls").textContent.includes("meshy fault 5 ") && document.querySelector("#marks").textContent.includes("5 %"));
  await reach("policy-0");
  await page.keyboard.press("Space");
  await until(page, () => document.querySelector("#controls").textContent.includes("meshy sp delete"));
  await reach("scenario-start");
  await page.keyboard.press("Enter");
  await until(page, () => document.activeElement.id === "next-step" && document.activeElement.getAttribute("aria-disabled") === "false");
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector('tr[data-step="without"]') !== null);
  assert.deepEqual(errors, []);
}));

for (const colorScheme of ["light", "dark"]) {
  test(`axe-core finds nothing, ${colorScheme}`, async (engine) => {
    await live(async (url) => {
      const { page } = await open(engine, url, { colorScheme });
      await page.fill("#fault-0", "30");
      await page.click("#scenario-start");
      await until(page, () => document.querySelector("#next-step")?.getAttribute("aria-disabled") === "false");
      assert.deepEqual(await violations(page), []);
    });
    await replay(async (url) => {
      const { page } = await open(engine, url, { colorScheme });
      await until(page, () => document.querySelectorAll("tr[data-step]").length === 5);
      await page.locator("#graph .node").last().focus();
      await page.keyboard.press("Enter");
      assert.deepEqual(await violations(page), []);
    });
  });
}

for (const [width, height] of [[400, 800], [1280, 720], [2560, 1440]]) {
  test(`nothing overflows, overlaps or is too small at ${width} pixels`, async (engine) => {
    const options = { viewport: { width, height } };
    await live(async (url) => {
      const { page, context } = await open(engine, url, options);
      await page.click("#scenario-start");
      await until(page, () => document.querySelector("#next-step")?.getAttribute("aria-disabled") === "false");
      assert.deepEqual(await layoutFaults(page), []);
      const speaker = await context.newPage();
      await speaker.goto(new URL("/speaker", url).href);
      await until(speaker, () => document.querySelector("#speaker-now h3") !== null);
      assert.deepEqual(await layoutFaults(speaker), []);
    });
    const server = await served(["dashboard", "--replay", RECORDED, "--no-open"], MESHY);
    const { page } = await open(engine, server.url, options);
    await until(page, () => document.querySelectorAll("tr[data-step]").length === 5);
    assert.ok(await page.isVisible(".report .overview"));
    assert.deepEqual(await layoutFaults(page), []);
    await server.end();
  });
}

test("what scrolls at 400 pixels ends between two lines and has a shadow", (engine) => replay(async (url) => {
  const { page } = await open(engine, url, { viewport: { width: 400, height: 800 } });
  await until(page, () => document.querySelectorAll("tr[data-step]").length === 5);
  const list = await page.$eval("#marks", (marks) => ({ lines: marks.clientHeight / parseFloat(getComputedStyle(marks).lineHeight), hidden: marks.scrollHeight - marks.clientHeight }));
  assert.ok(list.hidden > 0 && Number.isInteger(list.lines), JSON.stringify(list));
  assert.ok(await page.$eval("#steps", (steps) => steps.closest(".scroll").scrollWidth > 400), "the table is wider");
  assert.deepEqual(await layoutFaults(page), []);
  // The check finds both faults.
  const found = await page.evaluate(() => { document.querySelector("#marks").style.maxHeight = "130px"; document.querySelector("#steps").closest(".scroll").style.background = "none"; }).then(() => layoutFaults(page));
  assert.ok(found.some((one) => one.endsWith("is cut in the middle of a line")) && found.includes("scroll scrolls without a sign"), `${found}`);
}));

test("nothing moves for those who prefer that", (engine) => live(async (url) => {
  const { page } = await open(engine, url, { reducedMotion: "reduce" });
  await until(page, () => document.querySelectorAll("#graph .flow").length === 2);
  assert.equal(await page.$eval("#graph .flow", (flow) => getComputedStyle(flow).animationName), "none");
}));

const engine = await browser();
const failed = await run(engine, process.argv[2] ?? "");
await engine.close();
process.exit(failed ? 1 : 0);
