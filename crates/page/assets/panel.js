// The details of a service or a call: outcomes, percentiles, policy, endpoints.

import { byId, clean, commandLine, element, shorten } from "./dom.js";
import { OUTCOMES, factor, millis, percent, whole } from "./format.js";

/** @typedef {{from?: string, to: string}} Chosen */

export class PanelView {
  /** @param {(service: string) => void} look asks for the policy and the endpoints of a service */
  constructor(look) {
    this.look = look;
    this.dialog = /** @type {HTMLDialogElement} */ (byId("panel"));
    this.content = byId("panel-content");
    /** @type {?Chosen} */
    this.chosen = null;
    this.shown = "";
    byId("panel-close").addEventListener("click", () => this.dialog.close());
    /** What had the focus before. @type {?Element} */
    this.opener = null;
    this.dialog.addEventListener("close", () => {
      this.chosen = null;
      if (this.opener instanceof SVGElement || this.opener instanceof HTMLElement) this.opener.focus();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.dialog.open) this.dialog.close();
    });
  }

  /** @param {Chosen} chosen */
  open(chosen) {
    this.chosen = chosen;
    this.shown = "";
    if (!this.dialog.open) {
      this.opener = document.activeElement;
      this.dialog.show();
    }
    byId("panel-close").focus();
    this.look(chosen.to);
  }

  /** @param {import("./model.js").Model} model @param {?string} variant @param {import("./types.js").Details} details */
  show(model, variant, details) {
    const chosen = this.chosen;
    if (!chosen) return;
    const step = model.current(variant);
    const edges = (step?.edges ?? []).filter((edge) => edge.to === chosen.to && (!chosen.from || edge.from === chosen.from));
    const service = step?.services.find((one) => one.service === chosen.to);
    const known = details.services[variant === null ? chosen.to : `${variant}/${chosen.to}`];
    const calls = details.edges.filter((one) => one.to === chosen.to);
    const shown = JSON.stringify([chosen, edges, service, known, calls]);
    if (shown === this.shown) return;
    this.shown = shown;
    const title = chosen.from ? `${shorten(chosen.from, 60)} \u2192 ${shorten(chosen.to, 60)}` : shorten(chosen.to, 120);
    byId("panel-title").textContent = title;
    this.content.replaceChildren(
      ...edges.flatMap((edge) => edgePart(edge, !chosen.from, calls.find((one) => one.from === edge.from))),
      ...(edges.length ? [] : [element("p", { class: "empty" }, "No call was counted in this step.")]),
      ...(service ? [servicePart(service)] : []),
      ...(known ? policyPart(known) : []),
    );
  }
}

/** @param {import("./types.js").EdgeCounts} edge @param {boolean} named @param {import("./types.js").EdgeDetails} [call] */
function edgePart(edge, named, call) {
  /** @type {[string, string][]} */
  const rows = [
    ["Requests", whole(edge.requests)],
    ["Effective success", percent(edge.succeeded, edge.requests)],
    ["Attempts", `${whole(edge.attempts)} (${factor(edge.requests ? edge.attempts / edge.requests : null)} per request)`],
    ["Actual success", percent(edge.attempts_succeeded, edge.attempts)],
  ];
  if (edge.attempts_mutual_tls !== undefined) rows.push(["With mutual TLS", `${whole(edge.attempts_mutual_tls)} of ${whole(edge.attempts)} attempts`]);
  if (edge.latency) {
    const { p50_ms, p95_ms, p99_ms, max_ms } = edge.latency;
    rows.push(["Latency p50 / p95 / p99 / max", [p50_ms, p95_ms, p99_ms, max_ms].map(millis).join(" / ")]);
  }
  if (!edge.latency && call) rows.push(["Latency p50 / p99", `${millis(call.p50_ms)} / ${millis(call.p99_ms)}`]);
  if (edge.attempts_mutual_tls === undefined && call && call.mutual_tls !== null) rows.push(["Mutual TLS", call.mutual_tls ? "all attempts" : "not all attempts"]);
  const outcomes = Object.entries(edge.outcomes ?? {}).map(([id, count]) => /** @type {[string, string]} */ ([OUTCOMES[id] ?? id, whole(count)]));
  const statuses = Object.entries(edge.statuses ?? {}).map(([status, count]) => /** @type {[string, string]} */ ([`status ${status}`, whole(count)]));
  const from = named ? [element("h3", {}, `Calls from ${shorten(edge.from, 60)}`)] : [];
  const counted = outcomes.length + statuses.length ? [element(named ? "h4" : "h3", {}, "Outcomes in this step"), pairs([...outcomes, ...statuses])] : [];
  return [...from, pairs(rows), ...counted];
}

/** @param {import("./types.js").ServiceCounts} service */
function servicePart(service) {
  return element("div", {}, element("h3", {}, "Counted by the service itself"), pairs([
    ["Received", whole(service.received)],
    ["Finished", whole(service.finished)],
    ["Wasted: the client was gone", whole(service.wasted)],
    ["Rejected: the queue was full", whole(service.queue_full)],
  ]));
}

/** @param {import("./types.js").ServiceDetails} known */
function policyPart(known) {
  const policy = known.policy_text ?? known.policy ?? "none";
  const endpoints = known.endpoints.map((one) => {
    const breakers = one.breakers.map((breaker) => element("li", {}, `${BREAKERS[breaker.state] ?? "?"} ${clean(breaker.state)} for ${shorten(breaker.client, 60)}`));
    return element("li", {}, `${shorten(one.name, 80)}: ${one.ready ? "\u25cf ready" : "\u25b2 not ready"}`, breakers.length > 0 && element("ul", { class: "breakers" }, ...breakers));
  });
  return [
    element("h3", {}, "Policy in force"),
    element("pre", { tabindex: 0 }, shorten(policy, 20000)),
    known.command && commandLine(known.command),
    element("h3", {}, "Endpoints, with the circuit breaker of each client"),
    endpoints.length ? element("ul", {}, ...endpoints) : element("p", { class: "empty" }, "No endpoint is known."),
  ].filter((made) => made instanceof Node);
}

/** A shape for each state of a circuit breaker. @type {Object<string, string>} */
const BREAKERS = { ready: "\u25cf", open: "\u25b2", failing: "\u25c6", unknown: "\u25cb" };

/** @param {[string, string][]} rows */
function pairs(rows) {
  return element("dl", { class: "pairs" }, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}
