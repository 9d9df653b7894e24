"use strict";
// Shows a leaderboard (see kvgym/evaluation/plain.py). Whatever comes from outside is put in as text, never as HTML.

const DATA = JSON.parse(document.getElementById("data").textContent);
const NONE = "–";
const SVG = "http://www.w3.org/2000/svg";

// ---------------------------------------------------------------------------------------------------- Elements

/** An element with attributes, functions for its events, and children: elements or texts. */
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value != null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null));
  return node;
}

/** A new section of the page, and its entry in the contents. */
function section(id, title, text, ...children) {
  const node = el("section", { id }, el("h2", {}, title), text && el("p", { class: "dim" }, text), ...children);
  document.getElementById("main").append(node);
  document.getElementById("contents").append(el("a", { href: `#${id}` }, title));
  return node;
}

/** A choice; `act` is called with the number of what is chosen. */
function choice(label, names, act) {
  const options = names.map((name, number) => el("option", { value: number }, name));
  return el("label", {}, label, el("select", { change: (event) => act(Number(event.target.value)) }, options));
}

// ------------------------------------------------------------------------------------------------------ Numbers

const known = (value) => value != null && Number.isFinite(value);

/** Three digits that matter. */
function number(value, digits = 3) {
  if (!known(value)) return NONE;
  const size = value ? Math.floor(Math.log10(Math.abs(value))) : 0;
  return value.toFixed(Math.min(Math.max(digits - 1 - size, 0), 4)).replace("-", "−");
}

const percent = (value) => (known(value) ? (100 * value).toFixed(1) : NONE);

/** A value and its 95 % interval, or why there is none. */
function ranged(value, few = "too few seeds") {
  if (!known(value?.mean)) return [NONE];
  const ends = known(value.low) ? `${number(value.low)}, ${number(value.high)}` : few;
  return [number(value.mean), el("span", { class: "range" }, ` [${ends}]`)];
}

/** A plain number for each of 1, 2, 5 x 10^n (of a logarithmic axis) from low to high. */
function ticks(low, high, wanted) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const digit of [1, 2, 5]) all.push(digit * 10 ** power);
  const inside = all.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  const tens = inside.filter((value) => Math.abs(Math.log10(value) % 1) < 1e-9);
  return inside.length > wanted && tens.length > 1 ? tens : inside;
}

/** A number of an axis without noughts that say nothing. */
const short = (value) => String(Number(value.toPrecision(3)));

// ------------------------------------------------------------------------------------------------------ Players

const full = (row) => `${row.agent} + ${row.evictor}${row.oracle ? " (oracle)" : ""}`;
const evictor = (row) => `${row.evictor}${row.oracle ? " (oracle)" : ""}`;
const who = (row) => el("th", { class: "who", scope: "row" }, breakable(row.agent), el("small", {}, breakable(evictor(row))));
/** A name that may be broken after underscores. */
const breakable = (text) => text.split(/(?<=_)/).flatMap((part) => [part, el("wbr")]);

// ------------------------------------------------------------------------------------------------------- Tables

/**
 * A table that is sorted by the column whose heading is pressed, first by the best.
 * A column has title, text (what it is), value(row) to sort by, show(row) for the cell, and perhaps up: small is good.
 */
function table(rows, columns, { name = "", tall = false, mark = () => "" } = {}) {
  const body = el("tbody");
  const heads = columns.map((column, number) =>
    el(
      "th",
      { class: column.who ? "who" : column.class, scope: "col", title: column.text },
      el("button", { type: "button", click: () => sort(number) }, column.title),
    ),
  );
  let by = -1;
  let up = true;
  function sort(number) {
    up = number === by ? !up : Boolean(columns[number].up);
    by = number;
    heads.forEach((head, place) => head.removeAttribute("aria-sort"));
    heads[number].setAttribute("aria-sort", up ? "ascending" : "descending");
    show();
  }
  function show() {
    const order = [...rows];
    if (by >= 0) order.sort((a, b) => compare(columns[by].value(a), columns[by].value(b), up));
    body.replaceChildren(
      ...order.map((row) =>
        el("tr", { class: mark(row) }, columns.map((column) => (column.who ? who(row) : column.cell?.(row) ?? cell(column, row)))),
      ),
    );
  }
  const cell = (column, row) => el("td", { class: column.class }, column.show(row));
  show();
  const inner = el("table", { class: name }, el("thead", {}, el("tr", {}, heads)), body);
  return el("div", { class: `wide${tall ? " tall" : ""}`, tabindex: 0, role: "region" }, inner);
}

/** Order of two values; those that are not known come last either way. */
function compare(a, b, up) {
  if (typeof a === "string") return up ? a.localeCompare(b) : b.localeCompare(a);
  if (!known(a) || !known(b)) return known(b) - known(a);
  return up ? a - b : b - a;
}

const WHO = { title: "agent", who: true, up: true, text: "who routes; below it which cached pages go", value: full };

// ------------------------------------------------------------------------------------------------------- Scores

function scores() {
  for (const one of DATA.overall) {
    const load = one.load ? `, load ${one.load}` : "";
    const id = `scores${DATA.overall.indexOf(one) || ""}`;
    const text =
      `Over ${one.scenarios.length} ranked scenarios: ${one.scenarios.join(", ")}. x ref: J of the reference over this ` +
      "one, geometric mean (2: twice as fast). Score: 0 is random + lru, 100 the best known causal pairs. Brackets: 95 %.";
    section(id, `Scores${load}`, text, table(one.rows, scoreColumns(one.rows), { mark: unranked }), tau(one));
  }
  if (!DATA.overall.length)
    section("scores", "Scores", "None of the scenarios played here is ranked: the reasons stand under Bounds.");
}

const unranked = (row) => (row.rank ? "" : "unranked");

function scoreColumns(rows) {
  const ends = rows.flatMap((row) => [row.reference.low, row.reference.high, row.reference.mean]).filter(known);
  const scale = logarithmic(Math.min(...ends, 1), Math.max(...ends, 1), 4, 146);
  const columns = [
    { title: "#", up: true, text: "rank; – for what is shown and not ranked", value: (r) => r.rank, show: (r) => r.rank ?? NONE },
    WHO,
    { title: "x ref", text: "J_reference / J", value: (r) => r.reference.mean, show: (r) => ranged(r.reference) },
    { title: "drawn", class: "drawn", text: "the same, drawn; the line is the reference", value: (r) => r.reference.mean, show: (r) => whisker(r.reference, scale) },
    { title: "score", text: "0: random + lru, 100: the best known causal pairs", value: (r) => r.frontier.mean, show: (r) => ranged(r.frontier) },
    share("wins %", "episodes with a lower J than the reference's", "wins_reference"),
    share("over best %", "episodes with a lower J than the best known pair's", "wins_frontier"),
    { title: "middle", text: "x ref over the middle half of the scenarios", value: (r) => r.middle, show: (r) => number(r.middle) },
    share("in time %", "requests that met their latency targets", "attainment"),
    { title: "elsewhere", text: "95 % interval of x ref for other scenarios of the same kind", value: (r) => r.reference_elsewhere.low, show: (r) => ranged(r.reference_elsewhere, "too few scenarios")[1] },
  ];
  if (rows.some((row) => known(row.worst_training)))
    columns.push({ title: "worst training", text: "x ref of the worst training seed", value: (r) => r.worst_training, show: (r) => number(r.worst_training) });
  return columns;
}

const share = (title, text, name) => ({ title, text, value: (r) => r[name], show: (r) => percent(r[name]) });

function tau(one) {
  const found = Object.entries(one.leave_one_out).filter(([, value]) => known(value));
  if (!found.length) return null;
  const [name, value] = found.reduce((a, b) => (b[1] < a[1] ? b : a));
  return el("p", { class: "dim" }, `With one scenario left out the order stays: Kendall's tau ${value.toFixed(2)} or more (without ${name}).`);
}

/** From values to pixels; logarithmic. */
function logarithmic(low, high, left, right) {
  const a = Math.log(low);
  const span = Math.log(high) - a || 1;
  return (value) => left + ((Math.log(value) - a) / span) * (right - left);
}

function whisker(value, scale) {
  const middle = 8;
  const line = known(value.low) && draw("line", { x1: scale(value.low), x2: scale(value.high), y1: middle, y2: middle, stroke: "var(--accent)", "stroke-width": 2 });
  return draw(
    "svg",
    { width: 150, height: 16, role: "img", "aria-label": number(value.mean) },
    draw("line", { class: "grid", x1: scale(1), x2: scale(1), y1: 0, y2: 16 }),
    line || null,
    known(value.mean) && value.mean > 0 ? draw("circle", { cx: scale(value.mean), cy: middle, r: 4, fill: "var(--accent)" }) : null,
  );
}

// ----------------------------------------------------------------------------------------------------- Heat map

const MAPS = [
  { title: "x ref: J of the reference / J", get: (row) => row.speed_up.mean, ratio: true },
  { title: "x best: J of the best known pair / J", get: (row) => row.of_frontier.mean, ratio: true },
  { title: "J (s)", get: (row) => row.J, up: true },
  { title: "hit %", get: (row) => 100 * row.metrics.hit_rate },
  { title: "in time %", get: (row) => 100 * row.metrics.slo_attainment },
];

function heatmap() {
  const place = el("div");
  const show = (number) => place.replaceChildren(heat(MAPS[number]));
  const text = "Blue: better, orange: worse; without colour: as the reference, or the best known pair. Names in brackets: not ranked.";
  section("map", "By scenario", text, el("div", { class: "pick" }, choice("show", MAPS.map((map) => map.title), show)), place);
  show(0);
}

function heat(map) {
  const columns = DATA.scenarios.map((board, place) => {
    const value = (player) => {
      const row = board.rows[player.on[place]];
      return row ? map.get(row) : null;
    };
    const all = DATA.players.map(value).filter((found) => known(found) && found > 0);
    const title = board.ranked ? name(board) : `(${name(board)})`;
    const cell = (player) => {
      const found = value(player);
      return el("td", { class: "cell", style: `--tint: ${tint(found, all, map)}` }, number(found));
    };
    return { title, text: board.text, value, up: map.up, cell };
  });
  return table(inOrder(), [WHO, ...columns], { name: "heat", tall: true, mark: (row) => (row.oracle ? "unranked" : "") });
}

const name = (board) => board.name + (board.load ? ` ${board.load}` : "");

/** The players, the fastest first: by the mean of log x ref on the scenarios that each played. */
function inOrder() {
  const mean = (player) => {
    const rows = DATA.scenarios.map((board, place) => board.rows[player.on[place]]).filter(Boolean);
    return rows.reduce((sum, row) => sum + Math.log(row.speed_up.mean), 0) / rows.length;
  };
  return [...DATA.players].sort((a, b) => compare(mean(a), mean(b), false));
}

/** Where a value is between the least, -1, and the most, 1; of what is good when it is small, by its logarithm. */
function placed(value, all, log) {
  const [own, low, high] = [value, Math.min(...all), Math.max(...all)].map((x) => (log ? Math.log(x) : x));
  return high === low ? 0 : (2 * (own - low)) / (high - low) - 1;
}

/** A colour for a value: ratios by how far they are from 1, others by their place between the least and the most. */
function tint(value, all, map) {
  if (!known(value) || !all.length) return "transparent";
  const size = map.ratio ? Math.log2(value) / 1.5 : (map.up ? -1 : 1) * placed(value, all, map.up);
  const strength = Math.min(Math.abs(size), 1) * 0.6;
  return `rgba(var(--${size >= 0 ? "faster" : "slower"}), ${strength.toFixed(3)})`;
}

// ------------------------------------------------------------------------------------ Pictures of one scenario

const LATENCIES = [
  { title: "TTFT: time to first token", name: "ttft" },
  { title: "E2E: time to last token", name: "e2e" },
  { title: "TPOT: time per output token", name: "tpot" },
];
const chosen = { scenario: 0, latency: 0 };
/** What draws itself anew when something is chosen or the window has another width. */
const drawings = [];

function redraw() {
  for (const one of drawings) one();
}

function pictures() {
  if (!DATA.scenarios.length) return;
  const names = DATA.scenarios.map(name);
  const pick = el(
    "div",
    { class: "pick" },
    choice("scenario", names, (number) => ((chosen.scenario = number), redraw())),
    choice("latency", LATENCIES.map((one) => one.title), (number) => ((chosen.latency = number), redraw())),
  );
  const about = el("p");
  const latency = el("div");
  const balance = el("div");
  const cost = el("div");
  const rows = el("div");
  section("scenario", "One scenario", "", pick, about);
  const node = document.getElementById("scenario");
  node.append(
    el("h3", {}, "Latency: median, mean (hollow), 95 % and 99 % of the requests"),
    latency,
    el("div", { class: "pairs" }, el("div", {}, el("h3", {}, "Hit rate against imbalance"), balance), el("div", {}, el("h3", {}, "Speed against cost per decision"), cost)),
    el("h3", {}, "All columns"),
    rows,
  );
  drawings.push(() => {
    const board = DATA.scenarios[chosen.scenario];
    about.replaceChildren(board.text || "", " ", el("span", { class: "dim" }, board.ranked ? "Ranked." : `Not ranked: ${board.not_ranked}.`));
    ranges(latency, board.rows, LATENCIES[chosen.latency]);
    scatter(balance, board.rows, {
      x: { title: "prompt tokens found in a cache, %", get: (row) => 100 * row.metrics.hit_rate },
      y: { title: "busiest worker's requests / mean", get: (row) => row.metrics.imbalance },
    });
    scatter(cost, board.rows, {
      x: { title: "microseconds per decision", get: (row) => row.metrics.decision_us, log: true },
      y: { title: "x ref", get: (row) => row.speed_up.mean, log: true },
    });
  });
  let last = -1;
  drawings.push(() => {
    if (last !== chosen.scenario) rows.replaceChildren(everything(DATA.scenarios[(last = chosen.scenario)]));
  });
}

/** A line for each row: from the median to 99 %, on a logarithmic axis. */
function ranges(place, rows, { name }) {
  const parts = ["p50", "p95", "p99"].map((part) => `${name}_${part}`);
  const shown = rows.filter((row) => parts.every((part) => row.metrics[part] > 0));
  if (!shown.length) return place.replaceChildren(el("p", { class: "dim" }, "Nothing was measured."));
  const width = Math.max(place.clientWidth, 280);
  const left = Math.min(width * 0.42, 250);
  const [top, height] = [24, 20];
  const values = shown.flatMap((row) => parts.map((part) => row.metrics[part]));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = logarithmic(low, high, left + 10, width - 12);
  const bottom = top + shown.length * height;
  const axis = ticks(low, high, width < 600 ? 4 : 9).map((tick) => [
    draw("line", { class: "grid", x1: x(tick), x2: x(tick), y1: top - 4, y2: bottom }),
    draw("text", { class: "dim", x: x(tick), y: 14, "text-anchor": "middle" }, `${short(tick)} s`),
  ]);
  const lines = shown.map((row, place) => {
    const y = top + (place + 0.5) * height;
    const [p50, p95, p99] = parts.map((part) => x(row.metrics[part]));
    const mean = row.metrics[`${name}_mean`];
    const told = parts.map((part) => `${part.slice(-3)} ${number(row.metrics[part])} s`).join(", ");
    return draw(
      "g",
      {},
      draw("title", {}, `${full(row)}: ${told}`),
      draw("text", { x: left, y: y + 4, "text-anchor": "end" }, cut(full(row), left)),
      draw("line", { x1: p50, x2: p99, y1: y, y2: y, stroke: "var(--accent)", "stroke-width": 2, opacity: 0.5 }),
      draw("circle", { cx: p50, cy: y, r: 5, fill: "var(--accent)" }),
      draw("circle", { cx: p95, cy: y, r: 3.5, fill: "var(--accent)" }),
      draw("line", { x1: p99, x2: p99, y1: y - 5, y2: y + 5, stroke: "var(--accent)", "stroke-width": 2 }),
      mean > 0 ? draw("circle", { cx: x(Math.min(Math.max(mean, low), high)), cy: y, r: 4, fill: "none", stroke: "var(--other)", "stroke-width": 2 }) : null,
    );
  });
  place.replaceChildren(draw("svg", { width, height: bottom + 6, role: "img", "aria-label": "latencies" }, axis, lines));
}

/** A text that fits into some pixels, about. */
function cut(text, pixels) {
  const most = Math.floor(pixels / 6.6);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** A point for each row, the names of as many as have room. */
function scatter(place, rows, { x, y }) {
  const shown = rows.filter((row) => [x, y].every((axis) => known(axis.get(row)) && (!axis.log || axis.get(row) > 0)));
  if (!shown.length) return place.replaceChildren(el("p", { class: "dim" }, "Nothing was measured."));
  const width = Math.max(place.clientWidth, 280);
  const [left, top, right, bottom] = [48, 10, width - 14, 300];
  const across = scaled(shown.map(x.get), x.log, left + 8, right - 8);
  const upward = scaled(shown.map(y.get), y.log, bottom - 8, top + 8);
  const grid = [
    across.ticks.map((tick) => [
      draw("line", { class: "grid", x1: across.at(tick), x2: across.at(tick), y1: top, y2: bottom }),
      draw("text", { class: "dim", x: across.at(tick), y: bottom + 16, "text-anchor": "middle" }, short(tick)),
    ]),
    upward.ticks.map((tick) => [
      draw("line", { class: "grid", x1: left, x2: right, y1: upward.at(tick), y2: upward.at(tick) }),
      draw("text", { class: "dim", x: left - 6, y: upward.at(tick) + 4, "text-anchor": "end" }, short(tick)),
    ]),
    draw("text", { class: "dim", x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle" }, x.title),
    draw("text", { class: "dim", x: 12, y: (top + bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(top + bottom) / 2})` }, y.title),
  ];
  const taken = shown.map((row) => box(across.at(x.get(row)) - 5, upward.at(y.get(row)) - 5, 10, 10));
  const points = shown.map((row) => {
    const [px, py] = [across.at(x.get(row)), upward.at(y.get(row))];
    const colour = row.label.startsWith("anchor") ? "var(--other)" : "var(--accent)";
    const told = `${full(row)}: ${number(x.get(row))}, ${number(y.get(row))}`;
    return draw("g", {}, draw("title", {}, told), draw("circle", { cx: px, cy: py, r: 5, fill: row.oracle ? "none" : colour, stroke: colour, "stroke-width": 2 }), label(row, px, py, right, taken));
  });
  place.replaceChildren(draw("svg", { width, height: bottom + 42, role: "img", "aria-label": `${y.title} against ${x.title}` }, grid, points));
}

const box = (x, y, width, height) => ({ x, y, width, height });
const meet = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/** The name beside a point, where there is room for it. */
function label(row, x, y, right, taken) {
  const text = row.agent;
  const width = text.length * 6.8;
  for (const [dx, dy] of [[9, 4], [-9 - width, 4], [-width / 2, -9], [-width / 2, 18]]) {
    const own = box(x + dx, y + dy - 11, width, 14);
    if (own.x < 48 || own.x + width > right || own.y < 0 || taken.some((other) => meet(own, other))) continue;
    taken.push(own);
    return draw("text", { x: x + dx, y: y + dy }, text);
  }
  return null;
}

/** An axis for values: from them to pixels, and its ticks. */
function scaled(values, log, from, to) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) {
    const at = logarithmic(low, high === low ? low * 1.1 : high, from, to);
    return { at, ticks: ticks(low, high, 6) };
  }
  if (high === low) [low, high] = [low - 1, high + 1];
  const step = niceStep((high - low) / 5);
  const marks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) marks.push(Number(tick.toPrecision(12)));
  return { at: (value) => from + ((value - low) / (high - low)) * (to - from), ticks: marks };
}

function niceStep(about) {
  const power = 10 ** Math.floor(Math.log10(about));
  return power * ([1, 2, 5, 10].find((digit) => digit * power >= about) ?? 10);
}

/** All metrics of a scenario, and what failed. */
function everything(board) {
  const names = Object.keys(board.rows[0]?.metrics ?? {}).filter((name) => name !== "J");
  const columns = [
    WHO,
    { title: "J (s)", up: true, text: "mean latency, what counts", value: (r) => r.J, show: (r) => number(r.J) },
    { title: "x ref", text: "J_reference / J, 95 %", value: (r) => r.speed_up.mean, show: (r) => ranged(r.speed_up) },
    { title: "x best", text: "J of the best known pair / J, 95 %", value: (r) => r.of_frontier.mean, show: (r) => ranged(r.of_frontier) },
    ...names.map((name) => ({ title: name, text: name, value: (r) => r.metrics[name], show: (r) => number(r.metrics[name]) })),
  ];
  const failed = board.errors.map((error) => el("p", { class: "warn" }, `${error.broke_rule ? "NOT RANKED" : "FAILED"} ${full(error)}: ${error.error}`));
  const notes = board.notes.map((note) => el("p", {}, `Note: ${note}`));
  return el("div", {}, table(board.rows, columns, { tall: true }), ...failed, ...notes);
}

// ----------------------------------------------------------------------------------------------------- Profiles

const N_LINES = 6;

function profiles() {
  for (const one of DATA.overall) {
    const shown = one.rows.filter((row) => row.rank && row.profile.some(known)).slice(0, N_LINES);
    if (!shown.length) continue;
    const place = el("div");
    const key = el("ul", { class: "key" }, shown.map((row, number) => el("li", {}, el("i", { style: `border-color: var(--s${number})` }), full(row))));
    const load = one.load ? `, load ${one.load}` : "";
    const text = `Share of the episodes with J at most so many times that of the best known causal pair: the first ${shown.length} of the ranking.`;
    section(`profiles${DATA.overall.indexOf(one) || ""}`, `Profiles${load}`, text, place, key);
    drawings.push(() => curves(place, one.profile_at, shown));
  }
}

function curves(place, at, rows) {
  const width = Math.max(Math.min(place.clientWidth, 860), 280);
  const [left, top, right, bottom] = [44, 10, width - 14, 260];
  const x = logarithmic(at[0], at[at.length - 1], left, right);
  const y = (value) => bottom - value * (bottom - top);
  const grid = [
    [0.5, 0.7, 1, 1.5, 2, 3, 5, 8].map((tick) => [
      draw("line", { class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: bottom }),
      draw("text", { class: "dim", x: x(tick), y: bottom + 16, "text-anchor": "middle" }, short(tick)),
    ]),
    [0, 0.25, 0.5, 0.75, 1].map((tick) => [
      draw("line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) }),
      draw("text", { class: "dim", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, `${100 * tick} %`),
    ]),
    draw("text", { class: "dim", x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle" }, "J / J of the best known causal pair"),
  ];
  const lines = rows.map((row, number) =>
    draw("polyline", { points: row.profile.map((value, place) => `${x(at[place])},${y(value)}`).join(" "), fill: "none", stroke: `var(--s${number})`, "stroke-width": 2 }, draw("title", {}, full(row))),
  );
  place.replaceChildren(draw("svg", { width, height: bottom + 42, role: "img", "aria-label": "performance profiles" }, grid, lines));
}

// ------------------------------------------------------------------------------------------------------- Bounds

function bounds() {
  const text =
    "How low J (s) can be: that of the best known causal pair on the frozen test seeds, and of a planner that knows the " +
    "future over that of the pair, on the same episodes. Bound: every request alone on the fastest worker, with its whole " +
    "prompt cached; on the seeds played here.";
  const bound = (board) => board.rows[0]?.metrics.J_bound;
  const mean = (part) => (board) => board.anchors?.[part]?.J;
  const best = (board) => Math.min(...board.rows.filter((row) => !row.oracle).map((row) => row.J));
  const columns = [
    { title: "scenario", class: "left", up: true, value: name, show: (b) => name(b) },
    { title: "lowest here", up: true, text: "lowest J of a row that is no oracle", value: best, show: (b) => number(best(b)) },
    { title: "random", up: true, value: mean("random"), show: (b) => number(mean("random")(b)) },
    { title: "reference", up: true, value: mean("reference"), show: (b) => number(mean("reference")(b)) },
    { title: "best known", up: true, value: mean("frontier"), show: (b) => number(mean("frontier")(b)) },
    { title: "who", class: "left", up: true, value: (b) => b.anchors?.frontier?.pair ?? "", show: (b) => b.anchors?.frontier?.pair ?? NONE },
    { title: "planner / best known", up: true, text: "95 %; on the planner's episodes", value: (b) => b.anchors?.planner?.ratio.mean, show: (b) => ranged(b.anchors?.planner?.ratio) },
    { title: "bound", up: true, text: "lower bound of J", value: bound, show: (b) => number(bound(b)) },
    { title: "ranked", class: "text", up: true, value: (b) => b.not_ranked, show: (b) => (b.ranked ? "yes" : `no: ${b.not_ranked}`) },
  ];
  section("bounds", "Bounds", text, table(DATA.scenarios, columns));
}

// --------------------------------------------------------------------------------------------------- Provenance

function provenance() {
  const facts = { "kvgym": DATA.suite_version, "track": DATA.track, "seeds": `${DATA.seeds} of the split ${DATA.split}`, ...DATA.provenance };
  const list = Object.entries(facts).flatMap(([key, value]) => [
    el("dt", {}, key.replaceAll("_", " ")),
    el("dd", {}, el("code", {}, typeof value === "string" ? value : JSON.stringify(value))),
  ]);
  const hashes = DATA.scenarios.map((board) => [
    el("h3", {}, `${name(board)}, version ${board.version}`),
    Object.keys(board.overrides).length ? el("p", {}, el("code", {}, JSON.stringify(board.overrides))) : null,
    el("p", {}, el("code", {}, board.workloads_sha256.join(" "))),
  ]);
  const notes = DATA.notes.map((note) => el("p", {}, note));
  section("provenance", "Provenance", "", el("dl", {}, list), ...notes, el("details", {}, el("summary", {}, "Content hashes of the workloads, by seed"), hashes.flat()));
}

// ---------------------------------------------------------------------------------------------------- The page

function banner() {
  const track = DATA.track === "route" ? "" : `, track ${DATA.track}`;
  const seeds = `${DATA.seeds} ${DATA.split} seed${DATA.seeds === 1 ? "" : "s"} per scenario, the same for all agents`;
  document.getElementById("banner").append(
    DATA.smoke_test ? el("span", { class: "warn" }, "Smoke test, not a result. ") : "",
    `kvgym ${DATA.suite_version}${track}: ${seeds}. J is the mean latency of a scenario's objective in seconds.`,
  );
}

banner();
scores();
heatmap();
pictures();
profiles();
bounds();
provenance();
redraw();
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth !== width) redraw();
  width = window.innerWidth;
});
