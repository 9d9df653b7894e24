"use strict";
// Replays one film or two (see kvgym/watch/payload.py). Times are simulated seconds unless a name says otherwise.

// ---------------------------------------------------------------------------------------------- Numbers as text

const NONE = "–";
/** Between a number and its unit, where no line may end. */
const JOINED = "\u00a0";

/** A duration in the unit that suits it. */
function seconds(value) {
  if (value == null || Number.isNaN(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 100) return `${value.toFixed(0)}${JOINED}s`;
  if (size >= 1) return `${value.toFixed(2)}${JOINED}s`;
  if (size >= 1e-3) return `${(value * 1e3).toFixed(size < 0.0995 ? 1 : 0)}${JOINED}ms`;
  return size ? `${(value * 1e6).toFixed(0)}${JOINED}µs` : `0${JOINED}s`;
}

/** The same with its sign: of a difference. */
function difference(value) {
  if (value == null || Number.isNaN(value)) return NONE;
  return value === 0 ? "±0" : (value > 0 ? "+" : "−") + seconds(Math.abs(value));
}

/** A point in time. */
function clock(value) {
  return `${value.toLocaleString("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 })}${JOINED}s`;
}

/** A quantity with at most four digits that matter, whole numbers as they are. */
function quantity(value) {
  if (value == null || Number.isNaN(value)) return NONE;
  if (Number.isInteger(value)) return value.toLocaleString("en").replace("-", "−");
  const text = Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}

function plural(count, name) {
  return `${quantity(count)} ${name}${count === 1 ? "" : "s"}`;
}

// ------------------------------------------------------------------------------------------------ Sorted columns

/** How many elements of an ascending array are <= value. */
function countUpTo(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `countUpTo` for times that never go back: it goes on from the last, which is quick from pixel to pixel. */
function counter(sorted) {
  let count = 0;
  return (value) => {
    const fits = (step) => count + step <= sorted.length && sorted[count + step - 1] <= value;
    let step = 1;
    for (; fits(step); step *= 2) count += step;
    for (step >>= 1; step; step >>= 1) if (fits(step)) count += step;
    return count;
  };
}

/** Float64Array of what a function gives for each number, ascending; what is not there is left out. */
function ascending(numbers, valueOf) {
  return Float64Array.from(numbers.map(valueOf).filter((value) => value != null)).sort();
}

/** Lists of 0..n-1 by what a function gives: a list per worker. */
function perWorker(n, workers, workerOf) {
  const lists = Array.from({ length: workers }, () => []);
  for (let i = 0; i < n; i++) lists[workerOf(i)]?.push(i);
  return lists;
}

// ---------------------------------------------------------------------------------------------- Reading the film

/** The payload: gzip in base64 in the page. */
async function payload() {
  const packed = bytes(document.getElementById("film").textContent.trim());
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function bytes(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

/** A film with what drawing needs beside it: columns per worker in order of time, and sums of them. */
function indexed(film, number) {
  const { requests, decisions } = film;
  const m = film.workers.length;
  const n = requests.arrival.length;
  Object.assign(film, { number, m });
  decisions.time = Float64Array.from(decisions.time);
  film.values = new Float32Array(bytes(decisions.observation).buffer);
  film.counts = new Int32Array(bytes(film.memory).buffer);
  // Requests are known by their number; rows hold those that arrived, in closed loop not in the order of arrival.
  // Two films are compared by number, so that is what decisions and transfers hold from here on.
  const numbers = (rows) => rows.map((row) => requests.request[row] ?? -1);
  decisions.request = numbers(decisions.request);
  film.transfers.request = numbers(film.transfers.request);
  film.rowOf = new Map(requests.request.map((request, row) => [request, row]));
  const byArrival = [...requests.arrival.keys()].sort((a, b) => requests.arrival[a] - requests.arrival[b]);
  film.counted = byArrival.slice(film.first);
  film.decisionsOf = new Map();
  decisions.request.forEach((request, i) => {
    if (!film.decisionsOf.has(request)) film.decisionsOf.set(request, []);
    film.decisionsOf.get(request).push(i);
  });
  film.lanes = perWorker(film.iterations.start.length, m, (i) => film.iterations.worker[i]).map((list) =>
    laneOf(film.iterations, list),
  );
  const rows = perWorker(n, m, (i) => requests.worker[byArrival[i]]);
  film.bars = rows.map((list) =>
    barsOf(
      requests,
      list.map((i) => byArrival[i]),
      film.end,
    ),
  );
  film.ticks = perWorker(decisions.time.length, m, (i) => decidedWorker(film, i)).map((list) => ({
    list,
    time: Float64Array.from(list, (i) => decisions.time[i]),
  }));
  film.transfersTo = perWorker(film.transfers.request.length, m, (i) => film.transfers.target[i]).map((list) =>
    list.sort((a, b) => film.transfers.start[a] - film.transfers.start[b]),
  );
  film.arrivals = ascending([...requests.arrival], (value) => value);
  film.finishes = ascending([...requests.finish], (value) => value);
  film.refusals = ascending([...requests.refused], (value) => value);
  film.soFar = runningMean(film);
  film.costly = decisions.request.map((_, i) => isCostly(film, i));
  return film;
}

/** Iterations of a worker, and up to each the seconds of prefill and of decode; one that does both counts half. */
function laneOf(iterations, list) {
  const start = Float64Array.from(list, (i) => iterations.start[i]);
  const end = Float64Array.from(list, (i) => iterations.end[i]);
  const prefill = new Float64Array(list.length + 1);
  const decode = new Float64Array(list.length + 1);
  const share = new Float32Array(list.length);
  list.forEach((i, k) => {
    share[k] = !iterations.prefill_tokens[i] ? 0 : iterations.decodes[i] ? 0.5 : 1;
    prefill[k + 1] = prefill[k] + share[k] * (end[k] - start[k]);
    decode[k + 1] = decode[k] + (1 - share[k]) * (end[k] - start[k]);
  });
  return { list, start, end, share, prefill, decode };
}

/** Requests of a worker, given by arrival: the row in which each is drawn, and columns for counting. */
function barsOf(requests, list, end) {
  const arrival = Float64Array.from(list, (r) => requests.arrival[r]);
  const finish = Float64Array.from(list, (r) => requests.finish[r] ?? end);
  const latest = new Float64Array(list.length);
  const slot = new Int32Array(list.length);
  const free = [];
  list.forEach((_, k) => {
    latest[k] = Math.max(finish[k], k ? latest[k - 1] : 0);
    let row = 0;
    while (row < free.length && free[row] > arrival[k]) row++;
    free[row] = finish[k];
    slot[k] = row;
  });
  const of = (name) => ascending(list, (r) => requests[name][r]);
  const columns = { admitted: of("admitted"), firstToken: of("first_token"), finished: of("finish") };
  return { list, arrival, finish, latest, slot, ...columns };
}

/** When counted requests ended, or got their first token if that is the objective, and the mean latency until then. */
function runningMean(film) {
  const { arrival, finish, first_token } = film.requests;
  const ends = film.objective === "ttft" ? first_token : finish;
  const ended = film.counted.filter((r) => ends[r] != null).sort((a, b) => ends[a] - ends[b]);
  let sum = 0;
  const mean = Float64Array.from(ended, (r, i) => (sum += ends[r] - arrival[r]) / (i + 1));
  return { time: Float64Array.from(ended, (r) => ends[r]), mean };
}

/** The worker that a decision concerns: where the request was sent, or who asks what to evict; -1: none. */
function decidedWorker(film, i) {
  const { request, asking, action } = film.decisions;
  if (request[i] < 0) return -1;
  if (asking[i] >= 0) return asking[i];
  const worker = [action[i]].flat()[0];
  return worker < film.m ? worker : -1;
}

function isEviction(film, i) {
  return film.decisions.asking[i] >= 0;
}

/** Names of the actions, as scores are ordered: workers where the agent routes, then leaves or evictors. */
function actionNames(film) {
  if (film.names) return film.names;
  const { rules, features } = film.decisions;
  const workers = film.environment === "KVGym/Evict-v0" ? [] : film.workers.map((_, w) => `worker ${w}`);
  const leaves = [...new Set(features.map(([, , of]) => of).filter((of) => typeof of === "string"))];
  const others = leaves.length ? leaves.map((c) => `leaf ${c}`) : rules;
  film.names = [...workers, ...others];
  return film.names;
}

/** Places in `actionNames` of what was chosen. */
function chosenActions(film, i) {
  const action = film.decisions.action[i];
  return Array.isArray(action) ? [action[0], film.m + action[1]] : [action];
}

function actionText(film, i) {
  // The one decision of an episode in which nothing had to be evicted.
  if (film.decisions.request[i] < 0) return ": nothing to decide";
  const names = actionNames(film);
  const text = chosenActions(film, i)
    .map((a) => names[a] ?? `action ${a}`)
    .join(", ");
  if (!isEviction(film, i)) return ` → ${text}`;
  return `: worker ${film.decisions.asking[i]} evicts ${text.startsWith("leaf") ? "" : "by "}${text}`;
}

/** What a decision cost over the best worker (s of mean latency); NaN where that was not computed. */
function regret(film, i) {
  const costs = film.decisions.costs?.[i];
  const chosen = costs?.[decidedWorker(film, i)];
  if (chosen == null || isEviction(film, i)) return NaN;
  return chosen - Math.min(...costs.filter((cost) => cost != null));
}

/** Whether another worker would have been better by one per cent. */
function isCostly(film, i) {
  return regret(film, i) > 0.01 * film.decisions.costs?.[i]?.[decidedWorker(film, i)];
}

/** Batch, queue, pages and whether it is up of a worker at a time, and since when this is known. */
function workerAt(film, worker, time) {
  const i = countUpTo(film.decisions.time, time) - 1;
  const last = i === film.decisions.time.length - 1;
  const at = (Math.max(0, i) * film.m + worker) * 5;
  const known = i >= 0;
  const [locked, cached, running, queued] = film.counts.subarray(at, at + 4);
  const up = !faultAt(film, worker, time, "crash");
  if (known && !last) return { locked, cached, running, queued, up, known };
  // Before the first and after the last decision the requests alone tell.
  const bars = film.bars[worker];
  const started = countUpTo(bars.admitted, time);
  return {
    locked: 0,
    cached: 0,
    up,
    known: false,
    running: started - countUpTo(bars.finished, time),
    queued: countUpTo(bars.arrival, time) - started,
  };
}

/** The fault of a kind that a worker has at a time, or -1. */
function faultAt({ faults }, worker, time, kind) {
  return faults.kind.some(
    (k, i) => k === kind && faults.worker[i] === worker && faults.start[i] <= time && time < faults.end[i],
  );
}

function latencySoFar(film, time, count = countUpTo(film.soFar.time, time)) {
  const i = count - 1;
  return i < 0 ? NaN : film.soFar.mean[i];
}

// ---------------------------------------------------------------------------------------------------- The state

const SPEEDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];
const SHORTEST_WINDOW = 0.01;
/** Where in the window the clock stands while it moves. */
const CLOCK_PLACE = 0.7;

const state = {
  films: [],
  end: 1,
  time: 0,
  from: 0,
  to: 1, // the window of time that panels show
  playing: false,
  speed: 1,
  follows: true, // the window goes with the clock, until someone drags it away
  active: 0, // the film whose decisions are stepped through
  selected: null, // {film, request, decision}; the decision -1: none
  view: "list", // of the drawer: "list" or "detail"
  order: "time",
  filter: "",
};

const byId = (id) => document.getElementById(id);
const span = () => state.to - state.from;
const wide = () => matchMedia("(min-width: 761px)").matches;

/** Moves the clock, and the window if it follows. */
function setTime(time, follows = true) {
  state.time = Math.min(state.end, Math.max(0, time));
  state.follows = state.follows || follows;
  if (state.follows) showAround(state.time, CLOCK_PLACE);
  redraw();
}

/** Puts the window so that a time stands at a share of it; it stays inside the episode. */
function showAround(time, share, length = span()) {
  length = Math.min(state.end, Math.max(SHORTEST_WINDOW, length));
  const from = Math.min(state.end - length, Math.max(0, time - share * length));
  if (from !== state.from || from + length !== state.to) stale();
  Object.assign(state, { from, to: from + length });
}

/** Makes the window longer (factor > 1) or shorter around a time, by default the clock. */
function zoom(factor, around = state.time) {
  const inside = around >= state.from && around <= state.to;
  const centre = inside ? around : (state.from + state.to) / 2;
  showAround(centre, (centre - state.from) / span(), span() * factor);
  redraw();
}

function pan(by) {
  state.follows = false;
  showAround(state.from + by, 0);
  redraw();
}

function setPlaying(playing) {
  if (playing && state.time >= state.end) state.time = 0;
  Object.assign(state, { playing, follows: playing || state.follows, last: null });
  const button = byId("play");
  button.classList.toggle("playing", playing);
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
  if (!playing) say(`Paused at ${clock(state.time)}`);
  redraw();
}

/** To the next (1) or the previous (-1) decision of the active film. */
function step(direction) {
  const film = state.films[state.active];
  const { time } = film.decisions;
  const { selected } = state;
  const stands = selected?.film === film && time[selected.decision] === state.time;
  let i = stands
    ? selected.decision + direction
    : direction > 0
      ? countUpTo(time, state.time)
      : countUpTo(time, state.time - 1e-9) - 1;
  i = Math.min(time.length - 1, Math.max(0, i));
  setPlaying(false);
  select(film, film.decisions.request[i], i, state.view === "detail");
  say(`Decision ${i + 1} of ${time.length}: ${decisionText(film, i)}`);
}

/** Chooses a request and a decision about it, and goes there; shows it in the drawer if that is wanted. */
function select(film, request, decision, show = true) {
  Object.assign(state, { selected: { film, request, decision }, active: film.number });
  if (decision >= 0) setTime(film.decisions.time[decision]);
  if (show) openDrawer("detail");
  else fillDrawer();
  if (show && !wide()) bringIntoSight(film, request, decision);
  stale();
  redraw();
}

/** On a phone the drawer covers half of the page: the worker concerned is scrolled to the other half. */
function bringIntoSight(film, request, decision) {
  const worker = decision >= 0 ? decidedWorker(film, decision) : film.requests.worker[film.rowOf.get(request)];
  if (worker < 0) return;
  const panel = panels[film.number];
  const top = panel.canvas.getBoundingClientRect().top + scrollY;
  scrollTo({ top: top + topsOf(panel, worker).label - 24 });
}

function decisionText(film, i) {
  return `${requestName(film.decisions.request[i])}${actionText(film, i)}`;
}

function requestName(request) {
  return request < 0 ? "no request" : `request ${request}`;
}

/** Tells a screen reader. */
function say(text) {
  byId("said").textContent = text;
}

// --------------------------------------------------------------------------------------------- Frames and colours

let asked = false;

/** Draws before the next picture of the screen, once however often it is asked. */
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(frame);
}

/** What does not move with the clock must be drawn again. */
function stale() {
  for (const panel of panels) panel.stale = true;
}

function frame(now) {
  asked = false;
  if (state.playing) {
    if (state.last != null) advance((now - state.last) / 1000);
    state.last = now;
    redraw();
  }
  draw();
}

function draw() {
  for (const panel of panels) drawPanel(panel);
  drawScrub();
  showNumbers();
}

function advance(realSeconds) {
  // A page in the background gets no frames: what was missed is not made up for.
  setTime(state.time + Math.min(0.25, realSeconds) * state.speed, false);
  if (state.time >= state.end) setPlaying(false);
}

let paint = {};

/** Reads the colours of the style sheet: they differ between light and dark. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = [
    "paper",
    "row",
    "line",
    "ink",
    "dim",
    "free",
    "accent",
    "locked",
    "cached",
    "queue",
    "prefill",
    "decode",
  ];
  paint = Object.fromEntries([...names, "transfer", "down", "slow", "shared"].map((name) => [name, of(name)]));
  paint.groups = [0, 1, 2, 3, 4, 5].map((g) => of(`g${g}`));
  paint.films = [of("first"), of("second")];
  paint.mixed = new Map([...paint.groups, paint.shared].map((colour) => [colour, mix(colour, paint.paper, 0.55)]));
  stale();
}

function mix(a, b, share) {
  const part = (colour, i) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16);
  return `rgb(${[0, 1, 2].map((i) => Math.round(part(a, i) * (1 - share) + part(b, i) * share)).join(" ")})`;
}

function groupColour(film, row) {
  const group = film.requests.group?.[row] ?? -1;
  return group < 0 ? paint.shared : paint.groups[group % paint.groups.length];
}

// ------------------------------------------------------------------------------------------- Geometry of a panel

const panels = [];
const SIDE = 6;
const AXIS = 18;
const MEAN = 46;

/** Heights of the parts of a worker's block. */
function partsOf(film, height) {
  const share = (part, least, most) => Math.round(Math.min(most, Math.max(least, part * height)));
  const links = film.transfers.request.length ? 6 : 0;
  const parts = {
    label: 16,
    ticks: 8,
    lane: share(0.12, 11, 18),
    links,
    requests: 0,
    memory: share(0.18, 14, 34),
    below: 7,
  };
  parts.requests = Math.max(18, height - Object.values(parts).reduce((a, b) => a + b, 0));
  return parts;
}

/** Fits the canvases to their places on the page. */
function layOut() {
  const one = state.films.length === 1;
  const phone = !wide();
  const room =
    innerHeight - byId("controls").offsetHeight - panels[0].canvas.getBoundingClientRect().top - scrollY - 14;
  document.documentElement.style.setProperty("--controls", `${byId("controls").offsetHeight}px`);
  for (const panel of panels) {
    const { film } = panel;
    const least = phone ? 92 : 78;
    const most = one ? 190 : 160;
    const block = Math.min(most, Math.max(least, (room - AXIS - MEAN) / film.m));
    panel.parts = partsOf(film, Math.floor(block));
    panel.block = Object.values(panel.parts).reduce((a, b) => a + b, 0);
    panel.width = Math.floor(panel.canvas.clientWidth);
    panel.height = AXIS + MEAN + panel.block * film.m;
    resize(panel.canvas, panel.width, panel.height);
    resize(panel.still, panel.width, panel.height);
  }
  const scrub = byId("scrub");
  resize(scrub, scrub.clientWidth, 44);
  scrub.load = null;
  stale();
  // At once: canvases are empty now.
  draw();
}

function resize(canvas, width, height) {
  const scale = Math.min(2, devicePixelRatio || 1);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  if (canvas.style) canvas.style.height = `${height}px`;
  canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
}

const xOf = (panel, time) => SIDE + ((time - state.from) / span()) * (panel.width - 2 * SIDE);
const timeOf = (panel, x) => state.from + ((x - SIDE) / (panel.width - 2 * SIDE)) * span();

/** Tops of the parts of a worker's block. */
function topsOf(panel, worker) {
  const tops = {};
  let y = AXIS + MEAN + worker * panel.block;
  for (const [name, height] of Object.entries(panel.parts)) {
    tops[name] = y;
    y += height;
  }
  return tops;
}

/** The workers whose blocks are on the screen. */
function shownWorkers(panel) {
  const top = panel.canvas.getBoundingClientRect().top;
  const first = Math.floor((-top - AXIS - MEAN) / panel.block);
  const last = Math.ceil((innerHeight - top - AXIS - MEAN) / panel.block);
  return [Math.max(0, first), Math.min(panel.film.m, Math.max(0, last))];
}

// ------------------------------------------------------------------------------------------- Drawing what is still

/** The picture: what stays is kept, and what moves with the clock drawn over it. */
function drawPanel(panel) {
  const shown = shownWorkers(panel).join();
  if (panel.stale || panel.shown !== shown) {
    drawStill(panel);
    Object.assign(panel, { stale: false, shown });
  }
  const pen = panel.canvas.getContext("2d");
  pen.clearRect(0, 0, panel.width, panel.height);
  pen.drawImage(panel.still, 0, 0, panel.width, panel.height);
  drawMoving(panel, pen);
}

function drawStill(panel) {
  const pen = panel.still.getContext("2d");
  const [first, last] = shownWorkers(panel);
  pen.clearRect(0, 0, panel.width, panel.height);
  drawAxis(panel, pen);
  drawMeans(panel, pen);
  panel.rowHeight = Math.min(14, (panel.parts.requests - 2) / visibleRows());
  panel.countHeight = panel.rowHeight < LEAST_BAR ? (panel.parts.requests - 2) / mostAtOnce(panel) : panel.rowHeight;
  for (let worker = first; worker < last; worker++) {
    const tops = topsOf(panel, worker);
    drawPaper(panel, pen, tops);
    drawFaults(panel, pen, worker, tops);
    drawLane(panel, pen, worker, tops.lane);
    drawRequests(panel, pen, worker, tops.requests);
    drawMemory(panel, pen, worker, tops.memory);
    drawTicks(panel, pen, worker, tops.ticks);
  }
  if (panel.parts.links) drawTransfers(panel, pen);
  drawSelection(panel, pen);
}

/** Round distance between labels that leaves room for them. */
function tickStep(length, labels) {
  const raw = length / Math.max(1, labels);
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((k) => k * power).find((step) => step >= raw);
}

function drawAxis(panel, pen) {
  const each = tickStep(span(), panel.width / 90);
  const digits = Math.max(0, -Math.floor(Math.log10(each) + 1e-9));
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.textAlign = "center";
  for (let k = Math.ceil(state.from / each); k * each <= state.to; k++) {
    const x = Math.round(xOf(panel, k * each));
    pen.fillStyle = paint.line;
    pen.fillRect(x, AXIS - 3, 1, panel.height - AXIS + 3);
    pen.fillStyle = paint.dim;
    const text = `${(k * each).toFixed(digits)} s`;
    const half = pen.measureText(text).width / 2;
    pen.fillText(text, Math.min(panel.width - half, Math.max(half, x)), 7);
  }
}

/** The mean latency so far; the other film's is dashed. */
function drawMeans(panel, pen) {
  const top = AXIS + 2;
  const height = MEAN - 8;
  const left = SIDE;
  const right = panel.width - SIDE;
  const curves = state.films.map((film) => {
    const ended = counter(film.soFar.time);
    const at = (time) => latencySoFar(film, time, ended(time));
    return Float64Array.from({ length: right - left + 1 }, (_, x) => at(timeOf(panel, left + x)));
  });
  const most = rounded(curves.reduce((most, curve) => curve.reduce((a, b) => (b > a ? b : a), most), 0));
  pen.fillStyle = paint.row;
  pen.fillRect(left, top, right - left, height);
  for (const film of [...state.films].sort((a) => (a === panel.film ? 1 : -1))) {
    const own = film === panel.film;
    pen.strokeStyle = paint.films[film.number];
    pen.lineWidth = own ? 2 : 1;
    pen.setLineDash(own ? [] : [4, 3]);
    pen.beginPath();
    curves[film.number].forEach((mean, x) => {
      // The first lineTo of a path draws nothing.
      if (!Number.isNaN(mean)) pen.lineTo(left + x, top + height * (1 - mean / most));
    });
    pen.stroke();
  }
  pen.setLineDash([]);
  pen.lineWidth = 1;
  panel.most = most;
}

/** The next number of 1, 2, 3, 4, 5, 6, 8 times a power of ten: tops of scales. */
function rounded(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((k) => k * power).find((step) => step >= value * 1.05) ?? 15 * power;
}

/** The ground of a block, line by line. */
function drawPaper(panel, pen, tops) {
  pen.fillStyle = paint.row;
  const width = panel.width - 2 * SIDE;
  for (const name of ["lane", "requests", "memory"]) pen.fillRect(SIDE, tops[name], width, panel.parts[name] - 1);
}

/** Area under a curve that is known at each pixel, filled in one go. */
function fillCurve(pen, from, to, bottom, heightAt) {
  pen.beginPath();
  pen.moveTo(from, bottom);
  let before = bottom;
  for (let x = from; x < to; x++) {
    const y = bottom - heightAt(x);
    if (y === before) continue;
    pen.lineTo(x, before);
    pen.lineTo(x, y);
    before = y;
  }
  pen.lineTo(to, before);
  pen.lineTo(to, bottom);
  pen.fill();
}

/** Iterations: prefill and decode, one above the other where an iteration does both. */
function drawLane(panel, pen, worker, top) {
  const lane = panel.film.lanes[worker];
  const height = panel.parts.lane - 1;
  const first = Math.max(0, countUpTo(lane.start, state.from) - 1);
  const last = countUpTo(lane.start, state.to);
  if (last - first > panel.width) return drawLaneSums(panel, pen, lane, top, height);
  for (let k = first; k < last; k++) {
    if (lane.end[k] <= state.from) continue;
    const left = Math.max(SIDE, xOf(panel, lane.start[k]));
    const right = Math.min(panel.width - SIDE, xOf(panel, lane.end[k]));
    const width = Math.max(0.5, right - left - (right - left > 4 ? 1 : 0));
    const prefill = lane.share[k] * height;
    pen.fillStyle = paint.prefill;
    if (prefill) pen.fillRect(left, top, width, prefill);
    pen.fillStyle = paint.decode;
    if (prefill < height) pen.fillRect(left, top + prefill, width, height - prefill);
  }
}

/** More iterations than pixels: the shares of each pixel's time. */
function drawLaneSums(panel, pen, lane, top, height) {
  const left = SIDE;
  const right = panel.width - SIDE;
  const each = span() / (right - left);
  const at = (sums, k, time) => {
    if (k < 0) return 0;
    const part = Math.min(1, (time - lane.start[k]) / Math.max(1e-12, lane.end[k] - lane.start[k]));
    return sums[k] + part * (sums[k + 1] - sums[k]);
  };
  const shares = (sums) => {
    const out = new Float64Array(right - left + 1);
    const begun = counter(lane.start);
    const until = (time) => at(sums, begun(time) - 1, time);
    let before = until(timeOf(panel, left));
    for (let x = left; x < right; x++) {
      const now = until(timeOf(panel, x + 1));
      out[x - left] = Math.min(1, (now - before) / each) * height;
      before = now;
    }
    return out;
  };
  const prefill = shares(lane.prefill);
  const decode = shares(lane.decode);
  pen.fillStyle = paint.prefill;
  fillCurve(pen, left, right, top + height, (x) => Math.min(height, prefill[x - left] + decode[x - left]));
  pen.fillStyle = paint.decode;
  fillCurve(pen, left, right, top + height, (x) => decode[x - left]);
}

/** Rows of requests that need room: as many in all panels, in steps, so that bars seldom jump while time goes by. */
function visibleRows() {
  let most = 0;
  for (const film of state.films) {
    for (const bars of film.bars) {
      const [first, last] = visibleBars(bars);
      for (let k = first; k < last; k++)
        if (bars.slot[k] >= most && bars.finish[k] > state.from) most = bars.slot[k] + 1;
    }
  }
  return inSteps(most);
}

function inSteps(count) {
  return [4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128, 192, 256].find((step) => step >= count) ?? count;
}

/** Most requests that a worker has at a time in the window; as many in all panels. */
function mostAtOnce(panel) {
  let most = 1;
  for (const { bars } of state.films) {
    for (const { arrival, finished } of bars) {
      const arrived = counter(arrival);
      const done = counter(finished);
      for (let x = SIDE; x <= panel.width - SIDE; x += 3) {
        const time = timeOf(panel, x);
        most = Math.max(most, arrived(time) - done(time));
      }
    }
  }
  return inSteps(most);
}

/** Places of the requests that may be seen; those of them that finished before are still among them. */
function visibleBars(bars) {
  return [countUpTo(bars.latest, state.from), countUpTo(bars.arrival, state.to)];
}

/** Bars thinner than this are not told apart; then only counts are drawn. In pixels. */
const LEAST_BAR = 0.9;

function drawRequests(panel, pen, worker, top) {
  const { film, rowHeight: each } = panel;
  const bars = film.bars[worker];
  const [first, last] = visibleBars(bars);
  if (each < LEAST_BAR || last - first > 3 * panel.width) return drawRequestSums(panel, pen, bars, top);
  const { admitted, first_token } = film.requests;
  const thick = each >= 3 ? each - 1 : each;
  const bar = (colour, from, to, y, height) => {
    const left = Math.max(SIDE, xOf(panel, from));
    const right = Math.min(panel.width - SIDE, xOf(panel, to));
    if (right <= SIDE || left >= panel.width - SIDE) return;
    pen.fillStyle = colour;
    pen.fillRect(left, y, Math.max(0.75, right - left), height);
  };
  for (let k = first; k < last; k++) {
    if (bars.finish[k] < state.from) continue;
    const row = bars.list[k];
    const y = top + 1 + bars.slot[k] * each;
    const end = bars.finish[k];
    const colour = groupColour(film, row);
    const begin = Math.min(end, admitted[row] ?? end);
    const token = Math.min(end, first_token[row] ?? end);
    if (begin > bars.arrival[k])
      bar(paint.queue, bars.arrival[k], begin, y + (thick >= 3 ? thick / 3 : 0), thick >= 3 ? thick / 3 : thick);
    if (token > begin) bar(paint.mixed.get(colour), begin, token, y, thick);
    bar(colour, token, end, y, thick);
  }
}

/** More requests than can be told apart: how many wait, are in prefill, in decode. */
function drawRequestSums(panel, pen, bars, top) {
  const height = panel.parts.requests - 2;
  const bottom = top + height + 1;
  const left = SIDE;
  const right = panel.width - SIDE;
  const above = (sorted) => {
    const begun = counter(sorted);
    const finished = counter(bars.finished);
    return (x) => {
      const time = timeOf(panel, x + 0.5);
      return Math.min(height, (begun(time) - finished(time)) * panel.countHeight);
    };
  };
  const layers = [
    [paint.queue, bars.arrival],
    [paint.mixed.get(paint.groups[1]), bars.admitted],
    [paint.groups[1], bars.firstToken],
  ];
  for (const [colour, sorted] of layers) {
    pen.fillStyle = colour;
    fillCurve(pen, left, right, bottom, above(sorted));
  }
}

/** Memory over time: locked below, cached above it, the rest free; known from the first decision to the last. */
function drawMemory(panel, pen, worker, top) {
  const { film } = panel;
  const { time } = film.decisions;
  const height = panel.parts.memory - 1;
  const pages = film.workers[worker].kv_pages;
  const left = Math.max(SIDE, Math.floor(xOf(panel, time[0])));
  const right = Math.min(panel.width - SIDE, Math.ceil(xOf(panel, time.at(-1))));
  if (right <= left) return;
  const locked = new Float64Array(right - left);
  const used = new Float64Array(right - left);
  const due = counter(time);
  for (let x = left; x < right; x++) {
    const i = Math.max(0, due(timeOf(panel, x + 0.5)) - 1);
    const at = (i * film.m + worker) * 5;
    locked[x - left] = (film.counts[at] / pages) * height;
    used[x - left] = ((film.counts[at] + film.counts[at + 1]) / pages) * height;
  }
  pen.fillStyle = paint.free;
  pen.fillRect(left, top, right - left, height);
  pen.fillStyle = paint.cached;
  fillCurve(pen, left, right, top + height, (x) => used[x - left]);
  pen.fillStyle = paint.locked;
  fillCurve(pen, left, right, top + height, (x) => locked[x - left]);
}

/** Times when a worker is down (hatched one way) or slow (the other): the ground that all else is drawn on. */
function drawFaults(panel, pen, worker, tops) {
  const { faults } = panel.film;
  const top = tops.lane;
  const height = tops.below - tops.lane;
  faults.worker.forEach((of, i) => {
    if (of !== worker || faults.end[i] < state.from || faults.start[i] > state.to) return;
    const left = Math.max(SIDE, xOf(panel, faults.start[i]));
    const right = Math.min(panel.width - SIDE, xOf(panel, faults.end[i]));
    const crash = faults.kind[i] === "crash";
    const colour = crash ? paint.down : paint.slow;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, right - left, height);
    pen.clip();
    pen.fillStyle = pen.strokeStyle = colour;
    pen.globalAlpha = crash ? 0.28 : 0.14;
    pen.fillRect(left, top, right - left, height);
    pen.globalAlpha = 0.7;
    pen.beginPath();
    // Hatching stands still on the paper of time while the window moves.
    const each = 10;
    const shift = xOf(panel, faults.start[i]) - left;
    for (let x = left + (shift % each) - height; x < right + height; x += each) {
      pen.moveTo(x, crash ? top : top + height);
      pen.lineTo(x + height, crash ? top + height : top);
    }
    pen.stroke();
    pen.globalAlpha = 1;
    pen.font = "600 11px system-ui, sans-serif";
    pen.textAlign = "left";
    // A slow worker's requests are drawn over it; its name says it, too.
    if (crash && right - left > 40) plate(pen, "down", left + 8, top + height / 2, paint.ink);
    pen.restore();
  });
}

/** Decisions: a mark each; those that another worker would have served better by one per cent are marked so. */
function drawTicks(panel, pen, worker, top) {
  const { film } = panel;
  const ticks = film.ticks[worker];
  const height = panel.parts.ticks - 1;
  let before = -9;
  let flagged = false;
  for (let k = countUpTo(ticks.time, state.from - 1e-9); k < ticks.list.length && ticks.time[k] <= state.to; k++) {
    const x = Math.round(xOf(panel, ticks.time[k]));
    const i = ticks.list[k];
    const bad = film.costly[i];
    if (x === before && (flagged || !bad)) continue;
    [before, flagged] = [x, bad];
    pen.fillStyle = bad ? paint.queue : isEviction(film, i) ? paint.transfer : paint.dim;
    pen.fillRect(x - 0.75, top + (bad ? 0 : 2), 1.5, height - (bad ? 0 : 2));
  }
}

/** Transfers: a bar at the worker that receives, and a line from the one that sends while there are few. */
function drawTransfers(panel, pen) {
  const { film } = panel;
  const { transfers } = film;
  const [first, last] = shownWorkers(panel);
  const seen = [];
  for (let worker = 0; worker < film.m; worker++) {
    for (const i of film.transfersTo[worker]) {
      if (transfers.start[i] > state.to) break;
      if (transfers.end[i] >= state.from) seen.push(i);
    }
  }
  pen.fillStyle = pen.strokeStyle = paint.transfer;
  for (const i of seen) {
    const left = Math.max(SIDE, xOf(panel, transfers.start[i]));
    const right = Math.min(panel.width - SIDE, xOf(panel, transfers.end[i]));
    const y = topsOf(panel, transfers.target[i]).links;
    if (transfers.target[i] >= first && transfers.target[i] < last)
      pen.fillRect(left, y, Math.max(2, right - left), panel.parts.links - 2);
  }
  if (seen.length > 120) return;
  pen.globalAlpha = 0.45;
  for (const i of seen) {
    const x = Math.round(xOf(panel, transfers.start[i])) + 0.5;
    if (x < SIDE || x > panel.width - SIDE) continue;
    pen.beginPath();
    pen.moveTo(x, topsOf(panel, transfers.source[i]).links + 2);
    pen.lineTo(x, topsOf(panel, transfers.target[i]).links + 2);
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

/** The chosen request is framed, and its decision; in both panels. */
function drawSelection(panel, pen) {
  const { selected } = state;
  const { film } = panel;
  const row = selected ? film.rowOf.get(selected.request) : undefined;
  if (row === undefined) return;
  const worker = film.requests.worker[row];
  const bars = film.bars[worker];
  const k = bars?.list.indexOf(row) ?? -1;
  pen.strokeStyle = paint.ink;
  pen.lineWidth = 1.5;
  if (k >= 0 && panel.rowHeight >= LEAST_BAR) {
    const left = Math.max(0, xOf(panel, bars.arrival[k]));
    const right = Math.min(panel.width, xOf(panel, bars.finish[k]));
    const y = topsOf(panel, worker).requests + 1 + bars.slot[k] * panel.rowHeight;
    if (right > left) pen.strokeRect(left - 1.5, y - 1.5, right - left + 3, Math.max(2, panel.rowHeight) + 2);
  }
  pen.lineWidth = 1;
  const i = selected.film === film ? selected.decision : (film.decisionsOf.get(selected.request)?.[0] ?? -1);
  if (i < 0 || decidedWorker(film, i) < 0) return;
  const x = xOf(panel, film.decisions.time[i]);
  const y = topsOf(panel, decidedWorker(film, i)).ticks;
  if (x < 0 || x > panel.width) return;
  pen.fillStyle = paint.ink;
  pen.beginPath();
  pen.moveTo(x - 5, y - 3);
  pen.lineTo(x + 5, y - 3);
  pen.lineTo(x, y + panel.parts.ticks);
  pen.fill();
}

// ------------------------------------------------------------------------------------------ Drawing what moves

/** What is to come is pale; over it the clock, and each worker's name and state now. */
function drawMoving(panel, pen) {
  const x = xOf(panel, state.time);
  const right = panel.width - SIDE + 1;
  const [first, last] = shownWorkers(panel);
  if (x < right) {
    pen.fillStyle = paint.paper;
    pen.globalAlpha = 0.66;
    pen.fillRect(Math.max(SIDE - 1, x), AXIS, right - Math.max(SIDE - 1, x), panel.height - AXIS);
    pen.globalAlpha = 1;
  }
  if (x >= 0 && x <= panel.width) drawClock(panel, pen, x);
  pen.textBaseline = "middle";
  drawMeanNow(panel, pen);
  for (let worker = first; worker < last; worker++) drawLabel(panel, pen, worker, topsOf(panel, worker).label);
}

function drawClock(panel, pen, x) {
  pen.fillStyle = paint.ink;
  pen.fillRect(x - 0.5, AXIS - 4, 1, panel.height - AXIS + 4);
  pen.beginPath();
  pen.moveTo(x - 5, AXIS - 6);
  pen.lineTo(x + 5, AXIS - 6);
  pen.lineTo(x, AXIS + 1);
  pen.fill();
}

function drawMeanNow(panel, pen) {
  const name = panel.film.objective === "ttft" ? "time to first token" : "latency";
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "left";
  plate(pen, `mean ${name} so far`, SIDE + 4, AXIS + MEAN - 15, paint.dim);
  pen.textAlign = "right";
  plate(pen, seconds(panel.most).replace(/\.0+(?=\D)/, ""), panel.width - SIDE - 4, AXIS + 10, paint.dim);
}

/** Text on a ground of its own, which keeps it readable over curves. */
function plate(pen, text, x, y, colour) {
  pen.fillStyle = paint.paper;
  pen.globalAlpha = 0.75;
  const { width } = pen.measureText(text);
  pen.fillRect(x - 2 - (pen.textAlign === "right" ? width : 0), y - 7, width + 4, 14);
  pen.globalAlpha = 1;
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

/** A worker's name, batch, queue, and its memory as a bar. */
function drawLabel(panel, pen, worker, top) {
  const { film } = panel;
  const now = workerAt(film, worker, state.time);
  const pages = film.workers[worker].kv_pages;
  const y = top + 8;
  pen.fillStyle = paint.paper;
  pen.fillRect(0, top, panel.width, panel.parts.label);
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "right";
  let x = panel.width - SIDE;
  const share = Math.round((100 * (now.locked + now.cached)) / pages);
  const bar = panel.width < 420 ? 46 : 76;
  pen.fillStyle = paint.dim;
  pen.fillText(now.known ? `${share} %` : NONE, x, y);
  x -= 36 + bar;
  for (const [colour, width] of [
    [paint.free, bar],
    [paint.cached, ((now.locked + now.cached) / pages) * bar],
    [paint.locked, (now.locked / pages) * bar],
  ]) {
    pen.fillStyle = colour;
    pen.fillRect(x, top + 4, width, 8);
  }
  x -= 8;
  x -= countMarks(pen, "queue", now.queued, x, y, now.queued ? paint.queue : paint.dim);
  x -= countMarks(pen, "batch", now.running, x, y, paint.ink);
  pen.textAlign = "left";
  pen.fillStyle = paint.ink;
  const slow = faultAt(film, worker, state.time, "slow-down");
  pen.font = "600 11px system-ui, sans-serif";
  const number = String(worker);
  pen.fillText(number, SIDE, y);
  const begin = SIDE + pen.measureText(number).width + 6;
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = now.up && !slow ? paint.dim : paint.queue;
  const name = film.workers[worker].name + (now.up ? (slow ? ", slow" : "") : ", down");
  pen.fillText(fitted(pen, now.up && !slow ? name : name.split(", ").reverse().join(": "), x - begin - 4), begin, y);
}

/** "queue 12", right-aligned; returns the width it takes. */
function countMarks(pen, name, count, x, y, colour) {
  const text = String(count);
  const width = Math.max(14, pen.measureText(text).width + 5);
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
  pen.fillStyle = paint.dim;
  pen.fillText(name, x - width, y);
  return width + pen.measureText(name).width + 10;
}

const measured = new Map();

/** The text, or as much of it as there is room for. */
function fitted(pen, text, width) {
  const key = `${text}|${Math.round(width)}`;
  if (!measured.has(key)) {
    let out = text;
    while (out.length > 1 && pen.measureText(out).width > width) out = `${out.replace(/…$/, "").slice(0, -1)}…`;
    measured.set(key, width < 12 ? "" : out);
  }
  return measured.get(key);
}

/** The bar under everything: the requests in the system over the whole episode, the window and the clock. */
function drawScrub() {
  const canvas = byId("scrub");
  const pen = canvas.getContext("2d");
  const width = canvas.clientWidth;
  const height = 44;
  canvas.load ??= loadCurves(width);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = paint.row;
  pen.fillRect(0, 0, width, height);
  canvas.load.forEach((curve, number) => {
    const film = state.films[number];
    pen.fillStyle = pen.strokeStyle = paint.films[number];
    pen.globalAlpha = 0.35;
    fillCurve(pen, 0, width, height, (x) => curve[x] * (height - 6));
    pen.globalAlpha = 1;
    film.faults.start.forEach((start, i) => {
      pen.fillStyle = film.faults.kind[i] === "crash" ? paint.down : paint.slow;
      pen.fillRect((start / state.end) * width, 0, Math.max(1, ((film.faults.end[i] - start) / state.end) * width), 3);
    });
  });
  const left = (state.from / state.end) * width;
  const right = (state.to / state.end) * width;
  const x = (state.time / state.end) * width;
  pen.fillStyle = paint.ink;
  pen.globalAlpha = 0.12;
  pen.fillRect(left, 0, Math.max(1, right - left), height);
  pen.globalAlpha = 1;
  pen.fillRect(Math.min(width - 2, Math.max(0, x - 1)), 0, 2, height);
  pen.beginPath();
  pen.arc(Math.min(width - 5, Math.max(5, x)), height / 2, 5, 0, 7);
  pen.fill();
}

function inSystem(film, time) {
  return countUpTo(film.arrivals, time) - countUpTo(film.finishes, time) - countUpTo(film.refusals, time);
}

/** Requests in the system at each pixel of the episode, over the most of all films. */
function loadCurves(width) {
  const curves = state.films.map((film) =>
    Float64Array.from({ length: width + 1 }, (_, x) => {
      return inSystem(film, (x / width) * state.end);
    }),
  );
  const most = Math.max(1, ...curves.map((curve) => curve.reduce((a, b) => Math.max(a, b), 0)));
  return curves.map((curve) => curve.map((count) => count / most));
}

// ------------------------------------------------------------------------------------------ Numbers that change

let shownNumbers = "";

/** The clock, and each film's numbers now; the page is touched only where they differ. */
function showNumbers() {
  const text = `${state.time.toFixed(3)}`;
  if (text !== shownNumbers) {
    shownNumbers = text;
    byId("time").textContent = clock(state.time);
    const scrub = byId("scrub");
    scrub.setAttribute("aria-valuenow", text);
    scrub.setAttribute("aria-valuetext", clock(state.time));
    for (const panel of panels) showPanelNumbers(panel);
  }
  markCurrentRow();
}

function showPanelNumbers({ film, fields }) {
  const i = countUpTo(film.decisions.time, state.time) - 1;
  fields.mean.textContent = seconds(latencySoFar(film, state.time));
  fields.here.textContent = quantity(inSystem(film, state.time));
  fields.done.textContent = quantity(countUpTo(film.finishes, state.time));
  fields.last.textContent = i < 0 ? "" : decisionText(film, i);
}

// ------------------------------------------------------------------------------------------- What lies where

/** What lies at a place of a panel: {title, lines, request?, decision?}, or null. */
function pick(panel, x, y, reach = 5) {
  if (y < AXIS)
    return { title: clock(Math.max(0, timeOf(panel, x))), lines: ["drag here to move the clock"], axis: true };
  const time = timeOf(panel, x);
  const { film } = panel;
  if (y < AXIS + MEAN) {
    return {
      title: "mean latency so far",
      lines: state.films.map((f) => `${f.agent}: ${seconds(latencySoFar(f, time))}`),
    };
  }
  const worker = Math.floor((y - AXIS - MEAN) / panel.block);
  if (worker >= film.m) return null;
  const tops = topsOf(panel, worker);
  const slack = (reach / (panel.width - 2 * SIDE)) * span();
  if (y < tops.ticks - 2) return aboutWorker(film, worker, state.time);
  if (y < tops.lane) return pickTick(film, worker, time, slack);
  if (y < tops.links) return pickIteration(film, worker, time);
  if (y < tops.requests) return pickTransfer(film, worker, time, slack);
  if (y < tops.memory) return pickRequest(panel, worker, time, y - tops.requests - 1, slack, reach);
  return aboutWorker(film, worker, time);
}

function aboutWorker(film, worker, time) {
  const { name, kv_pages: pages, page_size: size } = film.workers[worker];
  const now = workerAt(film, worker, time);
  const tokens = (count) => `${quantity(count * size)} tokens (${Math.round((100 * count) / pages)} %)`;
  const memory = now.known
    ? [
        `locked ${tokens(now.locked)}`,
        `cached ${tokens(now.cached)}`,
        `free ${tokens(pages - now.locked - now.cached)}`,
      ]
    : [`KV memory ${quantity(pages * size)} tokens`, "what is in it is known while there are decisions"];
  const state_ = now.up ? [] : ["down"];
  return {
    title: `worker ${worker}: ${name}`,
    lines: [...state_, `batch ${now.running}, queue ${now.queued}`, ...memory, clock(Math.max(0, time))],
  };
}

function pickTick(film, worker, time, slack) {
  const ticks = film.ticks[worker];
  const k = countUpTo(ticks.time, time);
  const near = [k - 1, k]
    .filter((c) => c >= 0 && c < ticks.list.length && Math.abs(ticks.time[c] - time) <= slack)
    .sort((a, b) => Math.abs(ticks.time[a] - time) - Math.abs(ticks.time[b] - time))[0];
  if (near === undefined) return null;
  const i = ticks.list[near];
  const loss = regret(film, i);
  const lines = [`at ${clock(film.decisions.time[i])}`];
  if (!Number.isNaN(loss))
    lines.push(
      loss > 0
        ? `the best worker would have saved ${seconds(loss)} of mean latency`
        : "no worker would have been better",
    );
  return { title: decisionText(film, i), lines, request: film.decisions.request[i], decision: i };
}

function pickIteration(film, worker, time) {
  const lane = film.lanes[worker];
  const k = countUpTo(lane.start, time) - 1;
  if (k < 0 || lane.end[k] < time) return { title: `worker ${worker} is idle`, lines: [clock(Math.max(0, time))] };
  const { count, prefill_tokens, decodes, queued, preempted } = film.iterations;
  const i = lane.list[k];
  const each = (lane.end[k] - lane.start[k]) / Math.max(1, count[i]);
  const lines = [`${plural(count[i], "iteration")} of ${seconds(each)} from ${clock(lane.start[k])}`];
  if (prefill_tokens[i]) lines.push(`prefill of ${plural(prefill_tokens[i], "token")}`);
  if (decodes[i]) lines.push(`decode of ${plural(decodes[i], "request")}`);
  lines.push(`${queued[i]} queued${preempted[i] ? `, ${preempted[i]} preempted` : ""}`);
  return {
    title: `worker ${worker}: ${prefill_tokens[i] ? (decodes[i] ? "prefill and decode" : "prefill") : "decode"}`,
    lines,
  };
}

function pickTransfer(film, worker, time, slack) {
  const { transfers } = film;
  const i = film.transfersTo[worker].find(
    (t) => transfers.start[t] - slack <= time && time <= transfers.end[t] + slack,
  );
  if (i === undefined) return null;
  const request = transfers.request[i];
  const lines = [`worker ${transfers.source[i]} → worker ${worker} for request ${request}`];
  lines.push(`${seconds(transfers.end[i] - transfers.start[i])} from ${clock(transfers.start[i])}`);
  return { title: "transfer of KV pages", lines, request, decision: film.decisionsOf.get(request)?.[0] ?? -1 };
}

function pickRequest(panel, worker, time, y, slack, reach) {
  const { film, rowHeight: each } = panel;
  const bars = film.bars[worker];
  const [first, last] = visibleBars(bars);
  let best = -1;
  let least = Infinity;
  for (let k = first; k < last && each >= LEAST_BAR; k++) {
    const outside = Math.max(0, bars.arrival[k] - time, time - bars.finish[k]);
    const off = Math.max(0, Math.abs(y - (bars.slot[k] + 0.5) * each) - each / 2);
    if (outside > slack || off > reach) continue;
    const distance = outside / slack + off / reach;
    if (distance < least) [best, least] = [k, distance];
  }
  if (best < 0) return aboutQueue(film, worker, time);
  const row = bars.list[best];
  const r = film.requests;
  const request = r.request[row];
  const after = (column) => seconds(gap(r.arrival[row], r[column][row]));
  const lines = [
    `${plural(r.prompt_tokens[row], "prompt token")}, ${quantity(r.hit_tokens[row])} hit`,
    plural(r.output_tokens[row], "output token"),
    `waits ${after("admitted")}, first token after ${after("first_token")}, done after ${after("finish")}`,
  ];
  return {
    title: `request ${request}${groupText(r, row)}`,
    lines,
    request,
    decision: film.decisionsOf.get(request)?.[0] ?? -1,
  };
}

function aboutQueue(film, worker, time) {
  const bars = film.bars[worker];
  const [arrived, admitted, token, done] = [bars.arrival, bars.admitted, bars.firstToken, bars.finished].map((c) =>
    countUpTo(c, time),
  );
  if (arrived === done) return null;
  return {
    title: `worker ${worker}: ${plural(arrived - done, "request")}`,
    lines: [`${arrived - admitted} waiting, ${admitted - token} in prefill, ${token - done} in decode`],
  };
}

const gap = (from, to) => (to == null ? NaN : to - from);

function groupText(requests, row) {
  const group = requests.group?.[row] ?? -1;
  return group < 0 ? "" : `, group ${group}`;
}

// -------------------------------------------------------------------------------------------------- The tooltip

function showTip(found, x, y) {
  const tip = byId("tip");
  tip.hidden = !found;
  if (!found) return;
  tip.replaceChildren(element("b", {}, found.title), found.lines.join("\n"));
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(innerWidth - width - 4, x + 14))}px`;
  tip.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 12) : y + 18}px`;
}

// --------------------------------------------------------------------------------------------------- The drawer

const LINE = 38;

/** An element with attributes ("on.." are listeners) and children. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value != null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

function openDrawer(view) {
  const drawer = byId("drawer");
  const opened = drawer.hidden;
  const returns = opened ? document.activeElement : null;
  state.view = view;
  drawer.hidden = false;
  byId("list").setAttribute("aria-expanded", "true");
  if (opened) {
    drawer.returns = returns;
    layOut();
  }
  fillDrawer();
}

function closeDrawer() {
  const drawer = byId("drawer");
  drawer.hidden = true;
  byId("list").setAttribute("aria-expanded", "false");
  drawer.returns?.focus?.({ preventScroll: true });
  layOut();
}

function fillDrawer() {
  const drawer = byId("drawer");
  if (drawer.hidden) return;
  // Whoever reads further down keeps the place from one decision to the next.
  const top = drawer.dataset.view === state.view && state.view === "detail" ? drawer.scrollTop : 0;
  const inside = drawer.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  drawer.dataset.view = state.view;
  drawer.replaceChildren(...(state.view === "detail" && state.selected ? detail(state.selected) : decisionList()));
  drawer.scrollTop = top;
  if (state.view === "list") scrollToNow();
  for (const box of drawer.querySelectorAll(".wide")) {
    const column = box.querySelector("th.chosen[scope=col]");
    if (column) box.scrollLeft = column.offsetLeft - box.clientWidth / 2;
  }
  if (inside)
    [...drawer.querySelectorAll("[aria-label]")]
      .find((one) => one.getAttribute("aria-label") === inside)
      ?.focus({ preventScroll: true });
}

function drawerBar(film, title, under, ...buttons) {
  const close = element("button", { "aria-label": "Close", title: "Close (Esc)", onclick: closeDrawer }, "✕");
  return element(
    "div",
    { class: `bar of${film.number}` },
    element("h2", {}, title, element("small", {}, under)),
    buttons,
    close,
  );
}

/** Buttons that choose one of the films. */
function filmButtons(chosen, choose) {
  if (state.films.length < 2) return [];
  return state.films.map((film) =>
    element("button", { "aria-pressed": String(film === chosen), onclick: () => choose(film) }, film.agent),
  );
}

/** All decisions of a film; of the rows only those are made that can be seen. */
function decisionList() {
  const film = state.films[state.active];
  const n = film.decisions.time.length;
  const valued = Boolean(film.decisions.costs);
  const order = [...Array(n).keys()];
  const loss = valued ? Float64Array.from(order, (i) => regret(film, i)) : null;
  if (valued && state.order === "loss") order.sort((a, b) => (loss[b] || 0) - (loss[a] || 0) || a - b);
  const rows = element("div", { class: "rows", role: "list", style: `height: ${n * LINE}px` });
  Object.assign(rows, { order, loss, film, made: new Map() });
  const sorting = element(
    "select",
    {
      "aria-label": "Order",
      onchange: (event) => {
        state.order = event.target.value;
        fillDrawer();
      },
    },
    [
      ["time", "by time"],
      ["loss", "worst first"],
    ].map(([value, text]) => element("option", { value, selected: state.order === value }, text)),
  );
  const choose = (other) => {
    state.active = other.number;
    fillDrawer();
  };
  const note = valued
    ? element("p", { class: "note" }, "Time, request and choice; mean latency that the best worker would have saved.")
    : null;
  const picks = element("div", { class: "pick" }, filmButtons(film, choose), valued && sorting);
  return [
    element(
      "div",
      { class: "above" },
      drawerBar(film, "Decisions", `${quantity(n)} by ${film.agent}`),
      picks,
      note ?? "",
    ),
    rows,
  ];
}

function scrollToNow() {
  const drawer = byId("drawer");
  const rows = drawer.querySelector(".rows");
  if (!rows) return;
  const place = rows.order.indexOf(currentDecision(rows.film));
  drawer.scrollTop = state.order === "time" ? Math.max(0, rows.offsetTop + place * LINE - drawer.clientHeight / 2) : 0;
  fillRows();
}

function currentDecision(film) {
  return Math.max(0, countUpTo(film.decisions.time, state.time) - 1);
}

function fillRows() {
  const drawer = byId("drawer");
  const rows = drawer.querySelector(".rows");
  if (!rows) return;
  const top = drawer.scrollTop - rows.offsetTop;
  const first = Math.max(0, Math.floor(top / LINE) - 4);
  const last = Math.min(rows.order.length, Math.ceil((top + drawer.clientHeight) / LINE) + 4);
  for (const [place, row] of rows.made) {
    if (place >= first && place < last) continue;
    row.remove();
    rows.made.delete(place);
  }
  for (let place = first; place < last; place++) {
    if (rows.made.has(place)) continue;
    const row = decisionRow(rows, rows.order[place], place);
    rows.made.set(place, row);
    rows.append(row);
  }
  markRow(rows);
}

function decisionRow({ film, loss }, i, place) {
  const lost = loss?.[i];
  const text = lost > 0 ? difference(lost) : lost === 0 ? "best" : "";
  const open = () => select(film, film.decisions.request[i], i);
  return element(
    "div",
    { role: "listitem" },
    element(
      "button",
      { style: `top: ${place * LINE}px`, "data-decision": i, onclick: open },
      element("span", {}, clock(film.decisions.time[i])),
      element("span", {}, `${film.decisions.request[i]}${actionText(film, i)}`),
      element("span", { class: film.costly[i] ? "worse" : "" }, text),
    ),
  );
}

/** Marks the last decision before the clock. */
function markRow(rows) {
  rows.current = currentDecision(rows.film);
  rows.querySelector('[aria-current="true"]')?.removeAttribute("aria-current");
  rows.querySelector(`[data-decision="${rows.current}"]`)?.setAttribute("aria-current", "true");
}

/** The list goes with the clock. */
function markCurrentRow() {
  const rows = byId("drawer").hidden ? null : byId("drawer").querySelector(".rows");
  if (!rows || rows.current === currentDecision(rows.film)) return;
  markRow(rows);
  if (state.order === "time") scrollToNow();
}

/** Everything about a request and a decision about it. */
function detail({ film, request, decision }) {
  const row = film.rowOf.get(request);
  const name = request < 0 ? "No request" : `Request ${request}`;
  const title = name + (decision >= 0 ? actionText(film, decision) : "");
  const list = { "aria-label": "All decisions", title: "All decisions", onclick: () => openDrawer("list") };
  return [
    element(
      "div",
      { class: "above" },
      drawerBar(film, title, placeText(film, decision), element("button", list, "☰")),
    ),
    otherDecisions(film, request, decision),
    row === undefined ? null : life(film, row),
    ...(decision < 0 ? [] : [...choices(film, decision), ...observation(film, decision)]),
  ].filter(Boolean);
}

/** Which decision it is, of whom, and when it was due. */
function placeText(film, i) {
  if (i < 0) return `${film.agent} took no decision about it: part of the warm-up, or a rule did`;
  const { time } = film.decisions;
  const kind = isEviction(film, i) ? "EVICT" : "ROUTE";
  return `${kind} decision ${quantity(i + 1)} of ${quantity(time.length)} by ${film.agent}, at ${clock(time[i])}`;
}

/** Where a request was decided about several times: a button each. */
function otherDecisions(film, request, decision) {
  const all = film.decisionsOf.get(request) ?? [];
  if (all.length < 2) return null;
  return element(
    "div",
    { class: "pick" },
    all.map((i, n) =>
      element(
        "button",
        { "aria-pressed": String(i === decision), onclick: () => select(film, request, i) },
        `${n + 1}: ${isEviction(film, i) ? "EVICT" : "ROUTE"}`,
      ),
    ),
  );
}

/** A request's life in each film, on one scale, and its facts. */
function life(film, row) {
  const r = film.requests;
  const request = r.request[row];
  const facts = [
    ["prompt", plural(r.prompt_tokens[row], "token")],
    ["hit", plural(r.hit_tokens[row], "token")],
    ["output", plural(r.output_tokens[row], "token")],
    ["arrived", clock(r.arrival[row])],
    ["session", r.session?.[row] < 0 ? null : r.session?.[row]],
    ["group", r.group?.[row] < 0 ? "none" : r.group?.[row]],
    ["tenant", r.tenant?.[row] < 0 ? null : r.tenant?.[row]],
    ["fetched", r.fetched_tokens?.[row] ? plural(r.fetched_tokens[row], "token") : null],
    ["preempted", r.preemptions?.[row] ? plural(r.preemptions[row], "time") : null],
    ["sent back", r.returns?.[row] ? `${plural(r.returns[row], "time")} by a crash` : null],
  ].filter(([, value]) => value != null);
  return element(
    "section",
    { "aria-label": "Life of the request" },
    element("h3", {}, "Its life"),
    lives(request),
    element(
      "dl",
      { class: "facts", style: "margin-top: 8px" },
      facts.map(([name, value]) =>
        element(
          "div",
          {},
          element("dt", {}, name),
          element(
            "dd",
            {},
            name === "group" && value !== "none"
              ? element("i", { style: `background: ${groupColour(film, row)}` })
              : null,
            String(value),
          ),
        ),
      ),
    ),
  );
}

/** Style of a bar: where it begins and how long it is, over the whole. */
function stretch(from, length) {
  return `left: ${100 * from}%; width: ${100 * length}%`;
}

function lives(request) {
  const known = state.films
    .map((film) => ({ film, row: film.rowOf.get(request) }))
    .filter(({ row }) => row !== undefined);
  const took = ({ film: { requests, end }, row }) => (requests.finish[row] ?? end) - requests.arrival[row];
  const longest = Math.max(1e-9, ...known.map(took));
  const lines = known.flatMap(({ film, row }) => {
    const r = film.requests;
    const from = r.arrival[row];
    const colour = groupColour(film, row);
    const parts = [
      ["waiting", from, r.admitted[row], paint.queue],
      ["prefill", r.admitted[row], r.first_token[row], paint.mixed.get(colour)],
      ["decode", r.first_token[row], r.finish[row], colour],
    ];
    const text = parts.map(([name, a, b]) => `${name} ${seconds(a == null ? NaN : gap(a, b))}`).join(", ");
    return [
      element("span", {}, state.films.length > 1 ? `${film.agent}, ` : "", r.worker[row] < 0 ? "refused" : `worker ${r.worker[row]}`),
      element(
        "span",
        { class: "track", role: "img", "aria-label": text },
        parts
          .filter(([, a, b]) => a != null && b != null)
          .map(([, a, b, fill]) =>
            element("i", {
              style: `${stretch((a - from) / longest, (b - a) / longest)}; background: ${fill}`,
            }),
          ),
      ),
      element("b", {}, seconds(gap(from, r.finish[row]))),
      element("span", {}),
      element("span", { class: "note" }, text),
      element("span", {}),
    ];
  });
  return element("div", { class: "life" }, lines);
}

/** The actions: score, what each would have cost, and what the other agent did. */
function choices(film, i) {
  const { scores, costs, look_ahead } = film.decisions;
  const names = actionNames(film);
  const chosen = chosenActions(film, i);
  const cost = isEviction(film, i) ? null : costs?.[i];
  const score = scores?.[i];
  const out = [element("h3", {}, "What it could do")];
  if (!cost && !score)
    out.push(
      element(
        "p",
        { class: "note" },
        isEviction(film, i)
          ? "Costs are computed for ROUTE decisions only."
          : "Neither scores of the agent nor costs of the other workers were recorded.",
      ),
    );
  if (score) out.push(element("p", { class: "note" }, "Score: how the agent rates an action; it prefers the higher."));
  if (cost) {
    const whose = `the requests in the system and of the next ${plural(look_ahead, "arrival")}`;
    const text = `Mean latency: of ${whose}, had that worker been chosen; at the right, its difference to the choice.`;
    out.push(element("p", { class: "note" }, text));
  }
  if (cost || score) out.push(choiceTable(names, chosen, cost, score));
  const other = state.films.find((one) => one !== film);
  if (other) out.push(...otherChoice(film, i, other));
  return out;
}

function choiceTable(names, chosen, cost, score) {
  const mine = cost?.[chosen[0]];
  const gaps = names.map((_, a) => (cost?.[a] == null ? NaN : cost[a] - mine));
  const known = gaps.filter((value) => !Number.isNaN(value));
  const low = Math.min(0, ...known);
  const high = Math.max(0, ...known);
  const scale = Math.max(1e-12, high - low);
  const zero = (-low / scale) * 100;
  const style = (value) => {
    const place = stretch((Math.min(0, value) - low) / scale, Math.abs(value) / scale);
    return `${place}; background: ${value < 0 ? paint.cached : paint.queue}`;
  };
  const bar = (value) =>
    element(
      "td",
      { class: "bars" },
      element(
        "div",
        { style: `--zero: ${zero}%` },
        Number.isNaN(value)
          ? null
          : element("i", {
              style: style(value),
            }),
      ),
    );
  const head = ["action", score && "score", cost && "mean latency", cost && "", cost && "difference"].filter(
    (name) => name != null && name !== false,
  );
  const rows = names.map((name, a) =>
    element(
      "tr",
      { class: chosen.includes(a) ? "chosen" : null, "data-action": a },
      element("td", {}, chosen.includes(a) ? `${name} ✓` : name),
      score && element("td", {}, quantity(score[a] ?? NaN)),
      cost && element("td", {}, a < cost.length ? (cost[a] == null ? "down" : seconds(cost[a])) : ""),
      cost && bar(gaps[a]),
      cost &&
        element(
          "td",
          { class: gaps[a] < 0 ? "better" : gaps[a] > 0 ? "worse" : "" },
          a < cost.length ? difference(gaps[a]) : "",
        ),
    ),
  );
  return element(
    "div",
    { class: "wide" },
    element(
      "table",
      { class: "choices" },
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          head.map((name) => element("th", { scope: "col" }, name)),
        ),
      ),
      element("tbody", {}, rows),
    ),
  );
}

function otherChoice(film, i, other) {
  const request = film.decisions.request[i];
  const theirs = other.decisionsOf.get(request) ?? [];
  // Of several alike about one request the first is compared with the first, and so on.
  const alikeIn = (one, all) => all.filter((k) => isEviction(one, k) === isEviction(film, i));
  const same = alikeIn(other, theirs)[alikeIn(film, film.decisionsOf.get(request)).indexOf(i)];
  if (same === undefined)
    return [
      element("h3", {}, `What ${other.agent} did`),
      element("p", { class: "note" }, `It took no such decision for request ${request}.`),
    ];
  const before = latencyOf(film, film.rowOf.get(request));
  const after = latencyOf(other, other.rowOf.get(request));
  const alike = actionText(film, i) === actionText(other, same) ? ", the same" : "";
  const text = `Request ${request}${actionText(other, same)} at ${clock(other.decisions.time[same])}${alike}`;
  const better = after < before ? "better" : after > before ? "worse" : "";
  return [
    element("h3", {}, `What ${other.agent} did`),
    element(
      "p",
      {},
      `${text}: done after ${seconds(after)} `,
      element("span", { class: better }, `(${difference(after - before)})`),
    ),
    element(
      "div",
      { class: "pick", style: "padding-top: 6px" },
      element("button", { onclick: () => select(other, request, same) }, `Show ${other.agent}'s decision`),
    ),
  ];
}

function latencyOf(film, row) {
  return row === undefined ? NaN : gap(film.requests.arrival[row], film.requests.finish[row]);
}

/** The observation: what is of the request or the whole, then tables by worker and by candidate. */
function observation(film, i) {
  const { features, form } = film.decisions;
  const size = features.length;
  const value = (p) => film.values[i * size + p];
  const search = element("input", {
    type: "search",
    placeholder: "Filter the features",
    "aria-label": "Filter the features",
    value: state.filter,
    oninput: (event) => {
      state.filter = event.target.value;
      filterRows(event.target.closest("aside"));
    },
  });
  const blocks = { "of the request": new Map(), "of the workers": new Map(), "of the candidates": new Map() };
  features.forEach(([name, unit, of, text], p) => {
    const block =
      blocks[of == null ? "of the request" : typeof of === "number" ? "of the workers" : "of the candidates"];
    if (!block.has(name)) block.set(name, { name, unit, text, cells: new Map() });
    block.get(name).cells.set(of ?? "value", value(p));
  });
  const chosen = [
    decidedWorker(film, i),
    ...chosenActions(film, i).map((a) => `c${film.environment === "KVGym/Joint-v0" ? a - film.m : a}`),
  ];
  const tables = Object.entries(blocks)
    .filter(([, block]) => block.size)
    .flatMap(([title, block]) => [
      element("h3", {}, `Observation, ${title}`),
      featureTable([...block.values()], chosen),
    ]);
  const note =
    form === "scaled" ? element("p", { class: "note" }, "The agent sees the scaled form: values in [0, 1].") : null;
  const section = element(
    "section",
    { "aria-label": "Observation", class: "observation" },
    element("h3", {}, "What it saw"),
    note ?? "",
    search,
    tables,
  );
  filterRows(section);
  return [section];
}

function featureTable(rows, chosen) {
  const columns = [...new Set(rows.flatMap(({ cells }) => [...cells.keys()]))];
  const single = columns.length === 1 && columns[0] === "value";
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, "feature"),
    columns.map((c) =>
      element(
        "th",
        { scope: "col", class: chosen.includes(c) ? "chosen" : null },
        single ? "value" : typeof c === "number" ? `w${c}` : c,
      ),
    ),
  );
  const body = rows.map(({ name, unit, text, cells }) =>
    element(
      "tr",
      { "data-words": `${name} ${unit} ${text ?? ""}`.toLowerCase(), title: text },
      element("th", { scope: "row" }, name, unit ? element("small", {}, ` ${unit}`) : ""),
      columns.map((c) => element("td", { class: chosen.includes(c) ? "chosen" : null }, quantity(cells.get(c) ?? NaN))),
    ),
  );
  return element(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": "Features" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, body)),
  );
}

function filterRows(section) {
  const words = state.filter.toLowerCase().split(/\s+/);
  for (const row of section.querySelectorAll("tr[data-words]"))
    row.hidden = !words.every((word) => row.dataset.words.includes(word));
}

// ---------------------------------------------------------------------------------------------- Head and legend

function showHead() {
  const [film, other] = state.films;
  document.title = `${film.scenario}: ${state.films.map(({ agent }) => agent).join(" and ")} – kvgym watch`;
  byId("scenario").textContent = film.scenario;
  const size = `${plural(film.counted.length, "request")} after the warm-up`;
  const words = [film.text, `${film.split} split, seed ${film.seed}, ${size}, ${film.environment}`];
  const about = words.filter(Boolean).join("; ");
  byId("about").textContent = about;
  byId("about").title = about;
  const name = film.objective === "ttft" ? "mean time to first token" : "mean latency";
  const value = (cls, label, text) =>
    element(
      "div",
      { class: cls },
      element("div", { class: "name" }, ...[label].flat()),
      element("div", { class: "value" }, text),
    );
  const parts = state.films.map((one) =>
    value(`of${one.number}`, [one.agent, element("span", { class: "what" }, `: ${name}`)], seconds(one.metrics.J)),
  );
  if (other && film.metrics.J && other.metrics.J != null) {
    const by = other.metrics.J - film.metrics.J;
    parts.push(
      value(
        "gap",
        `${other.agent} − ${film.agent}`,
        `${difference(by)} (${by < 0 ? "−" : "+"}${Math.abs((100 * by) / film.metrics.J).toFixed(1)}${JOINED}%)`,
      ),
    );
  }
  byId("agents").replaceChildren(...parts);
}

/** All metrics, of two films beside each other. */
function showMetrics() {
  const inSeconds = /^(J|(e2e|ttft|tpot)_.*|.*_s)$/;
  const row = (name) => {
    const text = inSeconds.test(name) ? seconds : quantity;
    const values = state.films.map(({ metrics, number }) =>
      element("dd", { class: `of${number}` }, text(metrics[name])),
    );
    return element("div", {}, element("dt", {}, name), values);
  };
  byId("metrics-rows").replaceChildren(...Object.keys(state.films[0].metrics).map(row));
}

function showLegend() {
  const swatch = (text, ...colours) =>
    element(
      "span",
      {},
      colours.map(([colour, cls]) => element("i", { class: cls, style: `background: ${colour}` })),
      text,
    );
  const of = (name) => [`var(--${name})`];
  const groups = [0, 1, 2, 3, 4, 5].map((g) => of(`g${g}`));
  const any = (test) => state.films.some(test);
  const pale = [0, 1, 2].map((g) => [`color-mix(in srgb, var(--g${g}) 45%, var(--paper))`]);
  const keys = [
    ["space", "play"],
    ["← →", "decisions"],
    ["+ −", "zoom"],
    ["page up, page down", "a window back or on"],
    ["D", "list"],
    ["Esc", "close"],
  ];
  byId("legend-rows").replaceChildren(
    swatch("decision", [paintTick("dim"), "tick"]),
    ...(any((f) => f.decisions.costs)
      ? [swatch("decision: another worker is 1 % better", [paintTick("queue"), "tick"])]
      : []),
    ...(any((f) => f.decisions.asking.some((w) => w >= 0))
      ? [swatch("EVICT decision", [paintTick("transfer"), "tick"])]
      : []),
    swatch("prefill", of("prefill")),
    swatch("decode (iterations)", of("decode")),
    ...(any((f) => f.transfers.request.length) ? [swatch("transfer", of("transfer"))] : []),
    swatch("request waits", of("queue")),
    swatch("in prefill", ...pale),
    swatch("in decode, a colour per group of like prompts; blue where only counts fit", ...groups),
    swatch("KV memory locked", of("locked")),
    swatch("cached", of("cached")),
    swatch("free", of("free")),
    ...(any((f) => f.faults.kind.includes("crash")) ? [swatch("down", of("down"))] : []),
    ...(any((f) => f.faults.kind.includes("slow-down")) ? [swatch("slow", of("slow"))] : []),
    element("span", { class: "about" }, byId("about").textContent),
    element(
      "span",
      { class: "keys" },
      keys.map(([key, text]) => [element("kbd", {}, key), text]).flat(),
      "; drag, wheel or pinch a panel",
    ),
  );
  byId("legend").open = wide() && state.films[0].m <= 5;
}

const paintTick = (name) => `var(--${name})`;

function makePanel(film) {
  const field = () => element("b", {});
  const fields = { mean: field(), here: field(), done: field(), last: field() };
  const canvas = element("canvas", {
    role: "img",
    "aria-label": `${film.agent}: iterations, requests and memory of ${plural(film.m, "worker")} over time`,
  });
  const head = element(
    "div",
    { class: "head" },
    element("h2", {}, film.agent),
    element("span", {}, "mean so far ", fields.mean),
    element("span", {}, "in the system ", fields.here),
    element("span", { class: "done" }, "finished ", fields.done),
    element("span", { class: "last" }, fields.last),
  );
  byId("panels").append(
    element("section", { class: `panel of${film.number}`, "aria-label": film.agent }, head, canvas),
  );
  const panel = { film, canvas, fields, still: document.createElement("canvas"), stale: true };
  listenToPanel(panel);
  return panel;
}

// ------------------------------------------------------------------------------------------ Pointers and keys

/** A drag pans, two fingers zoom, a click opens, the axis moves the clock. */
function listenToPanel(panel) {
  const { canvas } = panel;
  const down = new Map();
  let moved = false;
  let axis = false;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const drag = (event, before) => {
    if (down.size === 2) return pinch(panel, [...down.values()], before, event);
    const dx = event.clientX - before.clientX;
    if (axis) setTime(timeOf(panel, place(event)[0]), false);
    else pan((-dx / (panel.width - 2 * SIDE)) * span());
    if (event.pointerType === "mouse" && !axis) scrollBy(0, before.clientY - event.clientY);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    down.set(event.pointerId, {
      clientX: event.clientX,
      clientY: event.clientY,
      first: event.clientX,
      top: event.clientY,
    });
    moved = down.size > 1;
    axis = place(event)[1] < AXIS;
    if (axis) setTime(timeOf(panel, place(event)[0]), false);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) {
      const found = pick(panel, ...place(event));
      canvas.classList.toggle("over", Boolean(found && (found.request !== undefined || found.axis)));
      return showTip(found, event.clientX, event.clientY);
    }
    moved ||= Math.hypot(event.clientX - before.first, event.clientY - before.top) > 5;
    if (!moved) return;
    canvas.classList.add("dragged");
    showTip(null);
    drag(event, before);
    Object.assign(before, { clientX: event.clientX, clientY: event.clientY });
  });
  const end = (event) => {
    const was = down.delete(event.pointerId);
    canvas.classList.remove("dragged");
    if (!was || moved || axis || event.type === "pointercancel") return;
    click(panel, event, ...place(event));
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => showTip(null));
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) return pan((event.deltaX / panel.width) * span());
      zoom(
        Math.exp(Math.max(-0.5, Math.min(0.5, event.deltaY * (event.deltaMode ? 0.05 : 0.002)))),
        timeOf(panel, place(event)[0]),
      );
    },
    { passive: false },
  );
}

function click(panel, event, x, y) {
  const touch = event.pointerType !== "mouse";
  const found = pick(panel, x, y, touch ? 12 : 5);
  state.active = panel.film.number;
  if (found?.request === undefined) {
    if (touch) showTip(found, event.clientX, event.clientY);
    return;
  }
  showTip(null);
  setPlaying(false);
  // The clock goes to the decision; the window stays where the click was, so that the request is not lost from sight.
  const { from, to } = state;
  select(panel.film, found.request, found.decision);
  if (state.time >= from && state.time <= to) Object.assign(state, { from, to, follows: false });
}

/** Two fingers: what lay under them stays under them. */
function pinch(panel, points, before, event) {
  const other = points.find((point) => point !== before);
  const left = panel.canvas.getBoundingClientRect().left;
  const apart = (x) => Math.max(10, Math.abs(x - other.clientX));
  zoom(apart(before.clientX) / apart(event.clientX), timeOf(panel, (before.clientX + other.clientX) / 2 - left));
  pan((-(event.clientX - before.clientX) / 2 / panel.width) * span());
}

function listenToScrub() {
  const scrub = byId("scrub");
  const go = (event) => {
    const box = scrub.getBoundingClientRect();
    setTime(((event.clientX - box.left) / box.width) * state.end);
  };
  scrub.addEventListener("pointerdown", (event) => {
    scrub.setPointerCapture(event.pointerId);
    go(event);
  });
  scrub.addEventListener("pointermove", (event) => scrub.hasPointerCapture(event.pointerId) && go(event));
  scrub.setAttribute("aria-valuemax", state.end.toFixed(3));
}

const KEYS = {
  " ": () => setPlaying(!state.playing),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  "+": () => zoom(1 / 1.5),
  "=": () => zoom(1 / 1.5),
  "-": () => zoom(1.5),
  PageUp: () => setTime(state.time - span()),
  PageDown: () => setTime(state.time + span()),
  Home: () => setTime(0),
  End: () => setTime(state.end),
  d: () => toggleList(),
  Escape: () => closeDrawer(),
};

function toggleList() {
  if (byId("drawer").hidden || state.view !== "list") openDrawer("list");
  else closeDrawer();
}

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    const types = target.matches?.("input, select") && event.key !== "Escape";
    const presses = event.key === " " && target.matches?.("button, summary");
    const scrolls = /^(Page|Home|End)/.test(event.key) && target.closest?.("aside");
    const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || types || presses || scrolls) return;
    event.preventDefault();
    action();
  });
}

function listenToControls() {
  const actions = {
    play: () => setPlaying(!state.playing),
    previous: () => step(-1),
    next: () => step(1),
    in: () => zoom(1 / 1.5),
    out: () => zoom(1.5),
    list: toggleList,
  };
  for (const [id, action] of Object.entries(actions)) {
    byId(id).addEventListener("click", (event) => {
      action();
      // After a click of the mouse space is to play again, not to press this button once more.
      if (event.detail) byId(id).blur();
    });
  }
  const speed = byId("speed");
  speed.append(...SPEEDS.map((value) => element("option", { value, selected: value === state.speed }, `${value}×`)));
  speed.addEventListener("change", () => {
    state.speed = Number(speed.value);
    speed.blur();
  });
  byId("drawer").addEventListener("scroll", fillRows);
}

// ------------------------------------------------------------------------------------------------------- Start

async function start() {
  const { films } = await payload();
  state.films = films.map(indexed);
  state.end = Math.max(...state.films.map(({ end }) => end));
  readColours();
  showHead();
  showMetrics();
  byId("panels").classList.toggle("two", films.length > 1);
  panels.push(...state.films.map(makePanel));
  showLegend();
  listenToControls();
  listenToScrub();
  listenToKeys();
  // The warm-up is the same for all agents: the film opens a little after the agent's first decision.
  const first = Math.min(...state.films.map(({ decisions }) => decisions.time[0]));
  const length = firstWindow();
  Object.assign(state, { from: 0, to: length });
  if (films.length === 1 && innerWidth >= 1200) openDrawer("list");
  layOut();
  setTime(Math.min(state.end, first + 0.4 * length));
  // Not at once: what an observer changes it would be told of again, which the browser counts as an error.
  const observer = new ResizeObserver(() => {
    if (panels.some(({ canvas, width }) => canvas.clientWidth !== width)) requestAnimationFrame(layOut);
  });
  observer.observe(byId("panels"));
  for (const part of document.querySelectorAll("details")) part.addEventListener("toggle", layOut);
  addEventListener("resize", layOut);
  addEventListener("scroll", redraw, { passive: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    fillDrawer();
    redraw();
  });
  requestAnimationFrame(() => performance.mark("first frame"));
}

/** Long enough for some sixty arrivals, and no more than the episode. */
function firstWindow() {
  const film = state.films[0];
  const { time } = film.decisions;
  const each = (time.at(-1) - time[0]) / Math.max(1, time.length - 1);
  return Math.min(state.end, Math.max(60 * each, 1) * (wide() ? 1 : 0.6));
}

start().catch((error) => {
  const problem = byId("problem");
  problem.textContent = `The film cannot be shown: ${error.message}`;
  problem.hidden = false;
  throw error;
});
