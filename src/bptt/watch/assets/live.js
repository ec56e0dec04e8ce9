// Draws what its own server tells it of a sweep. Texts come from names and errors of others: they are only ever set as text.
"use strict";

const LOOKS = 7, DASHES = ["", "7 4", "2 3", "9 3 2 3"], MOST_BANDS = 6, MOST_TOLD = 8;
const SVG = "http://www.w3.org/2000/svg";
const page = { summary: null, curves: {}, metric: null, pinned: null, over: null, drawn: {}, events: null };

const find = (id) => document.getElementById(id);

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "text", "clipPath", "rect"].includes(name);
  const element = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  return element;
}

const whole = (number) => number.toLocaleString("en-US");
const count = (number, what) => `${whole(number)} ${what}${number === 1 ? "" : "s"}`;

function digits(value) {
  if (value === null || value === undefined) return "–";
  if (value === "infinite") return "∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1).replace("e+", "e").replace("-", "−") : Number(value.toPrecision(3)).toString();
}

// A part of the page is made again only where it says something else: what is selected, or focused, stays.
function renew(id, content, build) {
  const said = JSON.stringify(content);
  if (page.drawn[id] === said) return;
  page.drawn[id] = said;
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.arm : undefined;
  build(find(id));
  if (focused !== undefined) document.querySelector(`button[data-arm="${Number(focused)}"]`)?.focus();
}

function show() {
  const s = page.summary;
  const state = find("state");
  document.querySelector("main").hidden = !s || !s.name;
  if (!s) return;
  state.textContent = s.trouble || s.state;
  state.className = s.trouble || s.wrong ? "wrong" : s.at_work ? "going" : "";
  find("name").textContent = s.name || "bptt live";
  find("question").hidden = !s.question;
  find("question").textContent = s.question || "";
  if (!s.name) { document.title = "bptt live: waits"; find("foot").textContent = s.note || ""; return; }
  const share = Math.floor(100 * s.share);
  document.title = `${s.at_work ? `${share} % ` : ""}${s.name}`;
  find("done").style.width = `${100 * s.trained}%`;
  find("ended").style.width = `${100 * s.share}%`;
  find("bar").setAttribute("aria-valuenow", String(Math.floor(100 * s.trained)));
  find("figures").textContent = [
    `${whole(s.ended)} of ${count(s.total, "run")} ended (${share} %)`,
    s.seconds && `after ${s.seconds}`, s.left && `${s.left} left`, s.rate && `${s.rate} runs/s`,
  ].filter(Boolean).join(" · ");
  renew("facts", [s.outcomes, s.reused, s.stages, s.running, s.more_blocks, s.begins, s.mending], showFacts);
  find("failures").hidden = !s.failed;
  renew("failures", s.failures, showFailures);
  renew("metric", s.metrics.map((metric) => metric[0]), showMetrics);
  renew("best", [s.conditions.map((c) => [c.condition, c.best, c.compared, c.fewest, c.most, c.settings[0]]), s.confirm], showBest);
  renew("conditions", [s.conditions, page.metric, s.metrics, page.pinned, s.logarithmic], showConditions);
  drawAll();
  const more = s.more_conditions ? ` ${whole(s.more_conditions)} more conditions are not shown.` : "";
  const stage = s.stages.length ? ` These are the runs of the stage “${s.stage}”.` : "";
  find("how").textContent = `Lines are medians over a setting's runs, bands reach from quartile to quartile; runs that are trained now count as far as they are. ${s.criterion ? `A run has solved its task at the first recorded update with ${s.criterion}.` : "When a run has solved its task is said as soon as the first ones have ended."} Shares have exact 95 % intervals. Best first within a condition: ${s.rule}. A line that ends with a cross: most runs had diverged.${stage}${more}`;
  find("foot").textContent = `${s.folder}${s.process ? ` · process ${s.process}` : ""} · read at ${s.at}`;
}

function showFacts(list) {
  const s = page.summary;
  const entries = [];
  if (s.outcomes.length) {
    const told = s.outcomes.map(([kind, number]) => `${whole(number)} ${kind}`).join(", ");
    entries.push(["ended", told + (s.reused ? `; ${whole(s.reused)} of them in the store already` : "")]);
  }
  if (s.stages.length) entries.push(["stages", s.stages.map(([stage, done, all]) => `${stage} ${whole(done)} of ${whole(all)}`).join(", ")]);
  for (const [name, runs, update, last, share] of s.running) {
    entries.push(["running", `${count(runs, "run")}, update ${whole(update)} of ${whole(last)} (${Math.floor(100 * share)} %), ${name}`]);
  }
  if (s.more_blocks) entries.push(["", `and ${whole(s.more_blocks)} more blocks`]);
  if (s.begins) entries.push(["running", "not known yet: workers start, compile what was never compiled here, or don't have this folder"]);
  if (s.mending) entries.push([s.mending[0], make("code", {}, s.mending[1])]);
  let before = null;
  list.replaceChildren(...entries.flatMap(([term, what]) => {
    const shown = term === before ? "" : term;
    before = term;
    return [make("dt", {}, shown), make("dd", {}, what)];
  }));
}

function showFailures(section) {
  const s = page.summary;
  const told = s.failures.reduce((sum, one) => sum + one.count, 0);
  const items = s.failures.map((one) => make("li", {},
    make("span", { class: "why" }, one.why || "no reason was noted"),
    ` — ${count(one.count, "run")}: ${one.runs.join("; ")}${one.count > one.runs.length ? "; …" : ""}`));
  if (told < s.failed) items.push(make("li", {}, `and ${count(s.failed - told, "more run")}`));
  section.querySelector("ul").replaceChildren(...items);
}

function showMetrics(select) {
  const metrics = page.summary.metrics;
  if (!metrics.some(([name]) => name === page.metric)) page.metric = metrics.length ? metrics[0][0] : null;
  select.replaceChildren(...metrics.map(([name, label]) => make("option", { value: name }, `${label} (${name})`)));
  if (page.metric) select.value = page.metric;
  select.disabled = !metrics.length;
}

function showBest(paragraph) {
  const s = page.summary;
  const parts = s.conditions.filter((c) => c.best !== null).map((c) => {
    const lead = c.settings[0];
    const where = c.condition ? `${c.condition}: ` : "";
    const did = lead.solved ? `${whole(lead.solved)} of its ${whole(lead.ended)} runs solved the task` : `median last loss ${digits(lead.loss[1])} over ${count(lead.ended, "run")}`;
    const counts = c.fewest === c.most ? `${whole(c.most)} each` : `${whole(c.fewest)} to ${whole(c.most)} each`;
    return [make("strong", {}, `${where}${lead.setting}`), ` — ${did}; best of ${count(c.compared, "setting")} with runs that have ended, ${counts}. `];
  });
  if (!parts.length) { paragraph.replaceChildren(); return; }
  const later = s.confirm ? `, which ${count(s.confirm, "fresh seed")} will be` : "";
  paragraph.replaceChildren(`Best so far${parts.length > 1 ? ", in each condition" : ""}: `, ...parts.flat(), make("span", { class: "note" }, `Picked on these same runs, not confirmed${later}.`));
}

const look = (place) => `look-${place % LOOKS}`;
const dash = (place) => DASHES[place % DASHES.length]; // with seven colours 28 looks, told apart without colours too

function showConditions(place) {
  const s = page.summary;
  place.replaceChildren(...s.conditions.map((condition, index) => {
    const solved = condition.settings.some((one) => one.solved);
    const head = make("tr", {}, make("th", { scope: "col" }, "setting"), make("th", { scope: "col" }, "ended"));
    if (solved) head.append(make("th", { scope: "col" }, "solved"), make("th", { scope: "col", class: "wide" }, "half solved by"));
    head.append(make("th", { scope: "col" }, "last loss"));
    const rows = condition.settings.map((one) => {
      const swatch = make("svg", { width: 26, height: 10, "aria-hidden": "true" }, make("path", { class: `median ${look(one.look)}`, "stroke-dasharray": dash(one.look), d: "M0 5H26" }));
      const button = make("button", { type: "button", "data-arm": one.arm, "aria-pressed": String(page.pinned === one.arm) }, swatch, make("span", {}, one.setting));
      const troubles = [one.going_on && `${whole(one.going_on)} trained now`, one.diverged && `${whole(one.diverged)} diverged`, one.failed && `${whole(one.failed)} failed`, one.given_up && `${whole(one.given_up)} given up`].filter(Boolean).join(", ");
      const row = make("tr", { class: `${one.arm === condition.best ? "lead" : ""} ${page.pinned === one.arm ? "pinned" : ""}` },
        make("td", {}, button, ...(one.arm === condition.best ? [" ", make("small", {}, "best so far")] : [])),
        make("td", {}, `${whole(one.ended)}/${whole(one.runs)}`, ...(troubles ? [" ", make("small", {}, troubles)] : [])));
      if (solved) {
        const [value, low, high] = one.share;
        row.append(make("td", {}, ...(one.ended ? [`${Math.round(value)} %`, " ", make("small", {}, `[${Math.round(low)}, ${Math.round(high)}]`)] : ["–"])),
          make("td", { class: "wide" }, one.by === null ? "–" : whole(one.by)));
      }
      const [low, median, high] = one.loss;
      row.append(make("td", {}, digits(median), ...(one.ended > 1 && median !== null ? [" ", make("small", {}, `${digits(low)} to ${digits(high)}`)] : [])));
      for (const [event, arm] of [["pointerenter", one.arm], ["pointerleave", null], ["focusin", one.arm], ["focusout", null]]) {
        row.addEventListener(event, () => { page.over = arm; highlight(); });
      }
      button.addEventListener("click", () => { page.pinned = page.pinned === one.arm ? null : one.arm; show(); });
      return row;
    });
    const chart = make("div", { class: "chart", "data-condition": index });
    const parts = [chart, make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)))];
    if (condition.condition) parts.unshift(make("h3", {}, condition.condition));
    if (condition.more) parts.push(make("p", { class: "note" }, `and ${count(condition.more, "more setting")}, neither listed nor drawn`));
    if (condition.not_begun) parts.push(make("p", { class: "note" }, `${condition.settings.length ? "and " : ""}${count(condition.not_begun, "setting")} of which no run has begun`));
    if (!condition.settings.length) parts.splice(-2, 1); // a table without rows
    return make("section", {}, ...parts);
  }));
}

function drawAll() {
  for (const chart of document.querySelectorAll(".chart")) draw(chart, page.summary.conditions[Number(chart.dataset.condition)]);
  highlight();
}

const finite = (values) => values.filter((value) => typeof value === "number" && Number.isFinite(value));

function scaleOf(kind, values, starts) {
  if (kind === "percent") return { low: 0, high: 100, log: false, ticks: [0, 25, 50, 75, 100] };
  let known = finite(values);
  if (kind === "log") {
    known = known.filter((value) => value > 0);
    if (!known.length) return null;
    const ceiling = starts.length ? 10 * Math.max(...starts) : Infinity;
    let high = Math.min(known.reduce((a, b) => Math.max(a, b)), ceiling);
    let low = Math.max(known.reduce((a, b) => Math.min(a, b)), high * 1e-16);
    if (high / low < 1.5) { high *= 1.3; low /= 1.3; }
    return { low: low / 1.1, high: high * 1.1, log: true, ticks: logTicks(low / 1.1, high * 1.1) };
  }
  if (!known.length) return null;
  const low = Math.min(...known), high = Math.max(...known), room = (high - low || Math.abs(high) || 1) * 0.05;
  return { low: low - room, high: high + room, log: false, ticks: niceTicks(low, high, 5) };
}

function logTicks(low, high) {
  const first = Math.ceil(Math.log10(low)), last = Math.floor(Math.log10(high));
  if (last - first >= 2) {
    const step = Math.ceil((last - first) / 6);
    return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => 10 ** (first + i * step));
  }
  const found = [];
  for (let power = first - 1; power <= last; power += 1) for (const factor of [1, 2, 5]) {
    const tick = factor * 10 ** power;
    if (tick >= low && tick <= high) found.push(tick);
  }
  return found;
}

function niceTicks(low, high, most) {
  const raw = (high - low || 1) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) found.push(tick);
  return found;
}

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

function label(tick, log, ticks) {
  const power = Math.log10(tick), wide = ticks.some((one) => one < 1e-3 || one >= 1e5);
  if (log && wide && Math.abs(power - Math.round(power)) < 1e-9) return power === 0 ? "1" : `10${[...String(Math.round(power))].map((one) => SUPERSCRIPT[one]).join("")}`;
  return Math.abs(tick) >= 1000 ? whole(Math.round(tick)) : Number(tick.toPrecision(3)).toString();
}

function draw(chart, condition) {
  const s = page.summary;
  const [, name, kind] = s.metrics.find(([metric]) => metric === page.metric) || [null, "", "linear"];
  const width = Math.max(chart.clientWidth, 240), height = width < 480 ? 230 : 300;
  const left = 52, right = 12, top = 22, bottom = 36;
  const shown = condition.settings.map((one) => [one, page.curves[one.arm]]).filter(([, curve]) => curve && curve.updates.length);
  const said = JSON.stringify([width, page.metric, shown]);
  if (chart.said === said) return;
  chart.said = said;
  const bands = shown.length <= MOST_BANDS;
  const values = shown.flatMap(([, curve]) => (bands ? [...curve.low, ...curve.median, ...curve.high] : curve.median));
  const starts = finite(shown.map(([, curve]) => curve.median[0])).filter((value) => value > 0);
  const y = scaleOf(kind, values, starts);
  if (!y) { chart.replaceChildren(make("p", { class: "note" }, "Nothing was recorded yet: curves begin with the first block of runs that trains for a second, or ends.")); return; }
  const last = shown.reduce((most, [, curve]) => Math.max(most, curve.updates[curve.updates.length - 1]), 1);
  const first = shown.reduce((least, [, curve]) => Math.min(least, curve.updates[0]), last);
  const logX = s.logarithmic && last > first;
  const across = logX ? (update) => left + (width - left - right) * Math.log(update / first) / Math.log(last / first) : (update) => left + (width - left - right) * update / last;
  const up = (value) => {
    const share = y.log ? Math.log(Math.max(value, y.low * 1e-3) / y.low) / Math.log(y.high / y.low) : (value - y.low) / (y.high - y.low);
    return height - bottom - (height - top - bottom) * share;
  };
  const clip = `clip-${chart.dataset.condition}`;
  const picture = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `${name} against update, ${count(shown.length, "setting")}; the table below has the numbers` });
  picture.append(make("clipPath", { id: clip }, make("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom })));
  for (const tick of y.ticks) {
    picture.append(make("line", { class: "grid", x1: left, x2: width - right, y1: up(tick), y2: up(tick) }));
    picture.append(make("text", { x: left - 6, y: up(tick) + 4, "text-anchor": "end" }, label(tick, y.log, y.ticks)));
  }
  const ticks = logX ? logTicks(first, last) : niceTicks(0, last, width < 480 ? 3 : 6);
  for (const tick of ticks) {
    picture.append(make("line", { class: "grid", x1: across(tick), x2: across(tick), y1: height - bottom, y2: height - bottom + 4 }));
    picture.append(make("text", { x: Math.min(across(tick), width - right - 14), y: height - bottom + 17, "text-anchor": "middle" }, label(tick, logX, ticks)));
  }
  picture.append(make("text", { x: left, y: 13 }, `${name}${kind === "percent" ? " (%)" : ""}`));
  picture.append(make("text", { x: width - right, y: height - 3, "text-anchor": "end" }, "update"));
  const lines = make("g", { "clip-path": `url(#${clip})` });
  for (const [one, curve] of bands ? shown : []) lines.append(make("path", { class: `band ${look(one.look)}`, "data-arm": one.arm, d: bandOf(curve, across, up, top) }));
  for (const [one, curve] of [...shown].reverse()) lines.append(make("path", { class: `median ${look(one.look)}`, "data-arm": one.arm, "stroke-dasharray": dash(one.look), d: lineOf(curve, across, up) }));
  const at = make("line", { class: "at", y1: top, y2: height - bottom, visibility: "hidden" });
  picture.append(lines, at);
  const tip = make("div", { class: "tip", hidden: "" });
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    tell(tip, at, shown, (event.clientX - box.left) * width / box.width, across, width);
  });
  picture.addEventListener("pointerleave", () => { tip.hidden = true; at.setAttribute("visibility", "hidden"); });
  chart.replaceChildren(picture, tip);
}

function lineOf(curve, across, up) {
  let path = "", before = null;
  curve.median.forEach((value, place) => {
    if (value === "infinite" && before) { // a cross where most runs had diverged
      const [x, y] = before;
      path += `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x - 4} ${y + 4}L${x + 4} ${y - 4}`;
    }
    if (typeof value !== "number") { before = null; return; }
    const here = [across(curve.updates[place]), up(value)];
    path += `${before ? "L" : "M"}${here[0].toFixed(1)} ${here[1].toFixed(1)}`;
    before = here;
  });
  return curve.median.length === 1 && path ? `${path}h0.1` : path;
}

function bandOf(curve, across, up, top) {
  const height = (value) => (value === "infinite" ? top - 50 : typeof value === "number" ? up(value) : null);
  const points = curve.updates.map((update, place) => [across(update), height(curve.low[place]), height(curve.high[place])]).filter(([, low, high]) => low !== null && high !== null);
  if (points.length < 2) return "";
  const there = points.map(([x, low]) => `${x.toFixed(1)} ${low.toFixed(1)}`), back = points.reverse().map(([x, , high]) => `${x.toFixed(1)} ${high.toFixed(1)}`);
  return `M${there.join("L")}L${back.join("L")}Z`;
}

function tell(tip, at, shown, x, across, width) {
  const chosen = page.over ?? page.pinned;
  const told = shown.filter(([one]) => chosen === null || one.arm === chosen).slice(0, MOST_TOLD);
  const near = told.map(([one, curve]) => {
    let place = 0;
    curve.updates.forEach((update, index) => { if (Math.abs(across(update) - x) < Math.abs(across(curve.updates[place]) - x)) place = index; });
    return [one, curve, place];
  });
  if (!near.length) return;
  const [, reference, index] = near[0];
  const where = across(reference.updates[index]);
  at.setAttribute("x1", where); at.setAttribute("x2", where); at.setAttribute("visibility", "visible");
  const rest = shown.length > told.length && chosen === null ? [make("p", {}, `and ${count(shown.length - told.length, "more")}`)] : [];
  tip.replaceChildren(make("p", {}, `update ${whole(reference.updates[index])}`), ...near.map(([one, curve, place]) => make("p", {},
    `${one.setting}: ${digits(curve.median[place])} (${digits(curve.low[place])} to ${digits(curve.high[place])}) of ${count(curve.runs[place], "run")}`)), ...rest);
  tip.hidden = false;
  const leftHalf = where < width / 2;
  tip.style.left = leftHalf ? "auto" : "56px";
  tip.style.right = leftHalf ? "12px" : "auto";
}

function highlight() {
  const chosen = page.over ?? page.pinned;
  for (const path of document.querySelectorAll(".chart path[data-arm]")) {
    path.classList.toggle("dim", chosen !== null && Number(path.dataset.arm) !== chosen);
  }
}

function listen() {
  page.events?.close();
  const events = page.events = new EventSource(`/events${page.metric ? `?metric=${encodeURIComponent(page.metric)}` : ""}`);
  events.addEventListener("message", (event) => {
    const told = JSON.parse(event.data);
    if (told.first) { page.curves = {}; if (page.summary && page.summary.folder !== told.summary.folder) page.pinned = null; }
    page.summary = told.summary;
    Object.assign(page.curves, told.curves);
    show();
    if (page.metric && told.metric !== page.metric) listen();
  });
  events.addEventListener("error", () => {
    const state = find("state");
    state.textContent = "the page's server doesn't answer; it is asked again";
    state.className = "wrong";
  });
}

find("metric").addEventListener("change", (event) => { page.metric = event.target.value; page.curves = {}; listen(); });
addEventListener("resize", () => { if (page.summary && page.summary.name) drawAll(); });
listen();
