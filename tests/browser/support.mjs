// What the browser tests share: the simulated page, the browser, and checks of a page.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const root = new URL("../../", import.meta.url).pathname;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const RECORDED = `${root}tests/fixtures/retries.events.jsonl`;

/** The program. */
export const MESHY = process.env.MESHY ?? `${root}target/debug/meshy`;

/** Starts chromium. In a container it has no rights for its sandbox; the pages are ours. */
export function browser(...more) {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", ...more] });
}

/** Starts a program that prints the URL of a page; returns the URL and how to end it. */
export async function served(args, program = `${root}target/debug/examples/simulated`, env = process.env) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", process.env.VERBOSE || env === process.env ? "inherit" : "ignore"], env });
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    if (line.startsWith("http://")) {
      return { url: line.trim(), pid: child.pid, end: () => new Promise((done) => { child.once("exit", done); child.kill("SIGTERM"); }) };
    }
  }
  throw new Error(`${program} printed no URL`);
}

/** Opens a URL in a new context; errors of scripts and violations of the content policy are kept in `errors`. */
export async function open(engine, url, options = {}) {
  const context = await engine.newContext({ viewport: { width: 1280, height: 720 }, ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
  page.on("dialog", (dialog) => { errors.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(url);
  await page.waitForSelector("body[data-ready=true]");
  return { page, context, errors };
}

/** Returns the violations of axe-core. Playwright evaluates it outside of the page's content policy. */
export async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`);
}

/** Returns what is wrong with the layout: a page wider than its window, small text, text over text, text cut off, a part that
 *  scrolls without a sign of it. */
export function layoutFaults(page) {
  return page.evaluate(() => {
    const faults = [];
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > width) faults.push(`the page is ${document.documentElement.scrollWidth} wide in ${width}`);
    const clipped = (box, element) => {
      const part = { left: box.left, right: box.right, top: box.top, bottom: box.bottom };
      for (let at = element; at && at !== document.body; at = at.parentElement) {
        if (getComputedStyle(at).overflowX === "visible" || getComputedStyle(at).display === "inline") continue;
        const edge = at.getBoundingClientRect();
        Object.assign(part, { left: Math.max(part.left, edge.left), right: Math.min(part.right, edge.right), top: Math.max(part.top, edge.top), bottom: Math.min(part.bottom, edge.bottom) });
      }
      return part;
    };
    // Panels as high as the window scroll as the page does.
    const panels = ".side, dialog";
    for (const part of document.querySelectorAll("body *")) {
      const { overflowX, overflowY, backgroundImage } = getComputedStyle(part);
      const scrolls = (overflow, size, room) => ["auto", "scroll"].includes(overflow) && size > room + 1;
      const hides = scrolls(overflowX, part.scrollWidth, part.clientWidth) || scrolls(overflowY, part.scrollHeight, part.clientHeight);
      if (hides && part.clientHeight > 0 && !part.matches(panels) && !backgroundImage.includes("gradient")) {
        faults.push(`${part.id || part.className || part.tagName} scrolls without a sign`);
      }
    }
    const boxes = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const parent = node.parentElement;
      if (!node.textContent.trim() || !parent || ["SCRIPT", "STYLE", "OPTION", "TITLE"].includes(parent.tagName.toUpperCase())) continue;
      if (parent.closest("title, .hidden, [hidden], dialog:not([open])")) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      // Each line of a text is a box; what a scrolling element hides does not count.
      const text = node.textContent.trim().slice(0, 40);
      const lines = [...range.getClientRects()].map((box) => {
        const part = clipped(box, parent);
        const height = part.bottom - part.top;
        if (height > 3 && height < box.height - 3 && !parent.closest(`${panels}, #graph`)) faults.push(`"${text}" is cut in the middle of a line`);
        return part;
      }).filter((box) => box.right - box.left > 0 && box.bottom - box.top > 0);
      if (!lines.length) continue;
      // A word of usual length stands in one line; commands and long names may break anywhere.
      for (const { 0: word, index } of parent.closest("pre, code") ? [] : node.textContent.matchAll(/(?<![\p{L}\p{N}])[\p{L}\p{N}%]{2,12}(?![\p{L}\p{N}])/gu)) {
        range.setStart(node, index);
        range.setEnd(node, index + word.length);
        const tops = [...range.getClientRects()].map((box) => Math.round(box.top));
        if (new Set(tops).size > 1) faults.push(`"${word}" of "${text}" is broken within the word`);
      }
      const scale = parent instanceof SVGGraphicsElement ? parent.getScreenCTM().d : 1;
      const size = Math.round(parseFloat(getComputedStyle(parent).fontSize) * scale * 10) / 10;
      if (size < 11) faults.push(`"${text}" has ${size} px`);
      for (const box of lines) {
        if (box.right > width + 1 || box.left < -1) faults.push(`"${text}" is outside of the window`);
        boxes.push({ text, box, parent });
      }
    }
    for (let a = 0; a < boxes.length; a += 1) {
      for (let b = a + 1; b < boxes.length; b += 1) {
        const [one, other] = [boxes[a], boxes[b]];
        if (one.parent === other.parent || one.parent.closest("dialog") !== other.parent.closest("dialog")) continue;
        const w = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
        const h = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
        if (w > 3 && h > 4) faults.push(`"${one.text}" and "${other.text}" overlap`);
      }
    }
    return faults;
  });
}

/** Returns the texts of elements by an attribute. */
export function texts(page, attribute) {
  return page.evaluate((name) => Object.fromEntries([...document.querySelectorAll(`[${name}]`)].map((one) => [one.getAttribute(name), one.textContent])), attribute);
}

/** Returns the table of the steps. */
export function steps(page) {
  return page.evaluate(() => [...document.querySelectorAll("tr[data-step]")].map((row) => ({
    step: row.dataset.step,
    ...Object.fromEntries([...row.querySelectorAll("[data-column]")].map((cell) => [cell.dataset.column, cell.textContent])),
  })));
}

/** Notes when an element comes into a page that is about to be opened, in milliseconds since its start: `window.watched[name]`. */
export function watchFor(page, name, selector) {
  return page.addInitScript(([key, wanted]) => {
    window.watched = {};
    const seen = () => { if (!(key in window.watched) && document.querySelector(wanted)) window.watched[key] = performance.now(); };
    new MutationObserver(seen).observe(document, { subtree: true, childList: true });
  }, [name, selector]);
}

/** Collects tests, and runs those whose name contains a word; `run` returns how many failed. */
export function collect() {
  const tests = [];
  const test = (name, work) => tests.push({ name, work });
  const run = async (engine, word) => {
    const failed = [];
    const chosen = tests.filter((one) => one.name.includes(word));
    for (const { name, work } of chosen) {
      try {
        await work(engine);
        console.log(`test ${name} ... ok`);
      } catch (error) {
        failed.push(name);
        console.log(`test ${name} ... FAILED\n${error.stack ?? error}`);
      } finally {
        for (const context of engine.contexts()) await context.close();
      }
    }
    console.log(`\ntest result: ${failed.length ? "FAILED" : "ok"}. ${chosen.length - failed.length} passed; ${failed.length} failed`);
    return failed.length;
  };
  return { test, run };
}
