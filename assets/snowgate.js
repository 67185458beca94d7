// What a page does beyond being read: live updates, the keyboard, a growing log. Every page works without it.
"use strict";

document.documentElement.classList.add("scripted");
let currentRow = null; // where the keyboard is

// --- live parts --------------------------------------------------------------------------------------------------------------
// A part that can change carries `id` and `data-live`. When an event says that the page's subject changed, the page is read
// again and htmx exchanges those parts: the server stays the only one who knows how a thing looks.

const about = () => document.getElementById("subject").dataset;
const { subject, pull: alsoPull = "" } = about();      // "review:ID", "drv:BASE", "list", "queue", ""
const liveState = document.getElementById("live-state");
let refreshing = false, refreshAgain = false, refreshTimer = 0;

// Somebody is writing there, or has written what is not sent yet.
function isWrittenIn(part) {
  const active = document.activeElement;
  if (active && part.contains(active) && active.matches("input, select, textarea")) return true;
  return [...part.querySelectorAll("textarea, input:not([type=hidden])")].some((field) => field.value !== field.defaultValue);
}

// What somebody unfolded stays unfolded, and the row where they are stays theirs.
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) =>
  !((name === "open" && element.matches("details[id]")) || (name === "class" && element === currentRow));

async function refresh() {
  refreshTimer = 0;
  if (refreshing) { refreshAgain = true; return; }
  refreshing = true;
  const parts = [...document.querySelectorAll("[data-live][id]")].filter((part) => !isWrittenIn(part));
  try {
    await htmx.ajax("GET", location.href, { source: document.body, swap: "none", selectOOB: parts.map((part) => `#${part.id}:morph`).join(",") });
    // another review took this one's place, or the first one began: that is another page
    if (about().subject !== subject) { location.reload(); return; }
    if (!document.querySelector("#verdict[data-open]")) document.getElementById("progress")?.remove();
    if (currentRow && !currentRow.isConnected) currentRow = null;
  } catch { /* the server is away; the event stream says so and reconnects */ } finally {
    refreshing = false;
    if (refreshAgain) { refreshAgain = false; refreshSoon(); }
  }
}

// Many events in a burst are one reading; at most one a second.
function refreshSoon() {
  if (!refreshTimer) refreshTimer = setTimeout(refresh, 1000);
}

function showProgress(id, done, total, words) {
  const box = document.getElementById(id);
  if (!box) return;
  box.hidden = false;
  const bar = box.querySelector("progress");
  if (total > 0) { bar.max = total; bar.value = done; } else { bar.removeAttribute("value"); }
  box.querySelector(".progress-words").textContent = words;
}

function concerns(event) {
  if (subject === "list") return event.event === "review" || event.event === "repository";
  if (subject === "queue") return ["build_started", "build_ended", "review", "builders"].includes(event.event);
  if (subject === "settings") return event.event === "background";
  if (subject.startsWith("review:")) {
    const id = subject.slice(7);
    return event.event === "review" ? event.id === id : (event.reviews || []).includes(id) && event.event === "build_ended";
  }
  if (subject.startsWith("pull:")) return event.event === "review" && subject === "pull:" + event.repository + "#" + event.number;
  if (subject.startsWith("drv:")) return (event.drv || "").endsWith("/" + subject.slice(4));
  return false;
}

function onEvent(message) {
  const event = JSON.parse(message.data);
  if (subject.startsWith("review:") && event.id === subject.slice(7)) {
    if (event.event === "evaluation") {
      const side = event.side === "base" ? "base" : "head";
      showProgress("progress-" + side, event.done, event.total, `${event.done} of ${event.total} attributes of ${side}` + (event.errors ? `, ${event.errors} errors` : ""));
    }
    if (event.event === "builds") {
      showProgress("progress-builds", event.done, event.total, `${event.done} of ${event.total} builds, ${event.running} running` + (event.failed ? `, ${event.failed} failed` : ""));
    }
  }
  if (concerns(event)) refreshSoon();
}

// A page of a pull request also follows a review that supersedes the one it shows.
function onReview(message) {
  onEvent(message);
  const event = JSON.parse(message.data);
  if (alsoPull && alsoPull === event.repository + "#" + event.number && subject !== "review:" + event.id) refreshSoon();
}

// A browser opens six connections to a server and no more: a page that nobody looks at gives its stream back.
function stream(address, wire) {
  if (!window.EventSource) return;
  let source = null, over = false;
  const close = () => { source?.close(); source = null; };
  const open = () => {
    if (source || over || document.hidden) return;
    source = new EventSource(address());
    wire(source, () => { over = true; close(); });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

if (subject) {
  const review = subject.startsWith("review:") && !alsoPull ? "?review=" + encodeURIComponent(subject.slice(7)) : "";
  const say = (words) => { if (liveState) { liveState.hidden = false; liveState.textContent = words; } };
  let opened = false;
  stream(() => "/api/events" + review, (source) => {
    // what happened while nobody listened is read from the page itself
    source.onopen = () => { say("live"); if (opened) refreshSoon(); opened = true; };
    source.onerror = () => say("reconnecting …");
    source.addEventListener("review", onReview);
    for (const name of ["evaluation", "builds", "build_started", "build_ended", "builders", "repository", "background"]) source.addEventListener(name, onEvent);
    source.addEventListener("resync", refreshSoon);
  });
}

// --- a growing log -----------------------------------------------------------------------------------------------------------
// The page holds the log up to `data-offset`; the stream goes on from there. A stream that broke is resumed by the browser with
// the id of the last event, which is the offset after it.

function ansiInto(parent, text) {
  const state = { fg: -1, b: false, d: false, i: false, u: false };
  let rest = text;
  const put = (piece) => {
    if (!piece) return;
    const classes = [];
    if (state.fg >= 0) classes.push("f" + state.fg);
    for (const key of ["b", "d", "i", "u"]) if (state[key]) classes.push(key);
    if (!classes.length) { parent.append(piece); return; }
    const span = document.createElement("span");
    span.className = classes.join(" ");
    span.textContent = piece;
    parent.append(span);
  };
  const escape = /\x1b(?:\[([0-9;:?<=>]*)([ -\/]*[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[@-Z\\-_]|[ -\/]+[0-~])/g;
  let at = 0, found;
  while ((found = escape.exec(rest))) {
    put(rest.slice(at, found.index).replace(/[\x00-\x08\x0b-\x1f\x7f]/g, ""));
    at = escape.lastIndex;
    if (found[2] !== "m") continue;
    const codes = (found[1] || "0").split(";").map((code) => parseInt(code || "0", 10));
    for (let n = 0; n < codes.length; n++) {
      const code = codes[n];
      if (code === 0) { state.fg = -1; state.b = state.d = state.i = state.u = false; }
      else if (code === 1) state.b = true;
      else if (code === 2) state.d = true;
      else if (code === 3) state.i = true;
      else if (code === 4) state.u = true;
      else if (code === 22) state.b = state.d = false;
      else if (code === 23) state.i = false;
      else if (code === 24) state.u = false;
      else if (code >= 30 && code <= 37) state.fg = code - 30;
      else if (code === 39) state.fg = -1;
      else if (code >= 90 && code <= 97) state.fg = code - 82;
      else if (code === 38 || code === 48) {
        if (codes[n + 1] === 5) { if (code === 38 && codes[n + 2] < 16) state.fg = codes[n + 2]; n += 2; }
        else if (codes[n + 1] === 2) n += 4;
      }
    }
  }
  put(rest.slice(at).replace(/[\x00-\x08\x0b-\x1f\x7f]/g, ""));
}

function toItsEnd(root) {
  for (const tail of root.querySelectorAll(".log.tail")) tail.scrollTop = tail.scrollHeight;
}
toItsEnd(document);
document.addEventListener("toggle", (event) => toItsEnd(event.target), true);

const log = document.getElementById("log");
const logBox = log && log.querySelector(".log");
// what ended a build is at the end of its log; an address with a line asks for that line
if (logBox && !/^#L\d+$/.test(location.hash)) logBox.scrollTop = logBox.scrollHeight;

// A line asked for is shown, also in a phase that is folded.
function showLine() {
  const line = /^#L\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  const phase = line && line.closest("details:not([open])");
  if (!phase) return;
  phase.open = true;
  line.scrollIntoView({ block: "center" });
}
if (logBox) {
  showLine();
  addEventListener("hashchange", showLine);
}

// A link to a line says which part of which log that is. If the line is here already, the address takes that over, and the browser
// then goes to the line without loading the page again.
document.getElementById("log-panel")?.addEventListener("click", (event) => {
  const link = event.target.closest("a[href*='#L']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  const aimed = new URL(link.href);
  if (aimed.pathname !== location.pathname || !document.getElementById(aimed.hash.slice(1))) return;
  history.replaceState(history.state, "", aimed.search + location.hash);
  if (aimed.hash === location.hash) showLine();
});

if (logBox && log.dataset.follow) {
  let list = [...log.querySelectorAll("ol")].pop(); // of the phase that runs
  const follow = document.getElementById("follow");
  const ending = document.getElementById("log-end");
  const address = new URL(log.dataset.follow, location.href);
  const phases = document.getElementById("phases");
  const begun = new Map(); // phases by their first line, before it is there
  let number = parseInt(log.dataset.lines, 10);

  const lineAddress = (line) => "?attempt=" + encodeURIComponent(log.dataset.attempt) + "&line=" + line + "#L" + line;

  // A phase of its own, below those before. Whoever follows the end is done with the one that is over; the others stay as they are.
  const fold = (name) => {
    const over = list.closest("details");
    if (over && follow.checked) over.open = false;
    const phase = document.createElement("details");
    phase.className = "phase";
    phase.open = true;
    const summary = document.createElement("summary");
    const title = document.createElement("b");
    title.textContent = name;
    const counted = document.createElement("span");
    counted.className = "muted";
    summary.append(title, " ", counted);
    list = document.createElement("ol");
    phase.append(summary, list);
    logBox.append(phase);
  };
  const recount = () => {
    const counted = list.closest("details")?.querySelector("summary .muted");
    if (counted) counted.textContent = list.children.length + (list.children.length === 1 ? " line" : " lines");
  };

  const begin = (message) => {
    const phase = JSON.parse(message.data);
    begun.set(phase.line, phase.name);
    const address = "#L" + phase.line;
    if ([...phases.querySelectorAll("a")].some((link) => link.hash === address && link.textContent === phase.name)) return;
    const link = document.createElement("a");
    link.href = lineAddress(phase.line);
    link.textContent = phase.name;
    const item = document.createElement("li");
    item.append(link);
    phases.querySelector("ol").append(item);
    phases.hidden = false;
  };

  const append = (message) => {
    const lines = message.data.split("\n");
    if (lines[lines.length - 1] === "") lines.pop();
    let piece = document.createDocumentFragment();
    for (const line of lines) {
      number += 1;
      const item = document.createElement("li");
      item.id = "L" + number;
      if (begun.has(number)) {
        list.append(piece);
        recount();
        piece = document.createDocumentFragment();
        fold(begun.get(number));
        begun.delete(number);
      }
      const link = document.createElement("a");
      link.href = lineAddress(number);
      link.textContent = number;
      const words = document.createElement("span");
      ansiInto(words, line);
      item.append(link, words);
      piece.append(item);
    }
    list.append(piece);
    recount();
    address.searchParams.set("offset", message.lastEventId);
    document.getElementById("log-count").textContent = number + (number === 1 ? " line" : " lines");
    if (follow.checked) logBox.scrollTop = logBox.scrollHeight;
  };

  // who scrolls up wants to read: the end is followed again once it is in sight
  logBox.addEventListener("scroll", () => {
    follow.checked = logBox.scrollTop + logBox.clientHeight >= logBox.scrollHeight - 30;
  }, { passive: true });

  stream(() => address.href, (source, finish) => {
    source.onmessage = append;
    source.addEventListener("phase", begin);
    source.addEventListener("end", () => {
      finish();
      ending.textContent = "The log ends here.";
      document.getElementById("log-grows")?.remove();
      refreshSoon();
    });
    source.addEventListener("broken", () => {
      finish();
      ending.textContent = "The log could not be followed any further; load the page again.";
    });
  });
}

// --- parts that htmx fetches ---------------------------------------------------------------------------------------------------

// A link that htmx follows can be opened in another tab, too.
document.addEventListener("click", (event) => {
  if ((event.ctrlKey || event.metaKey || event.shiftKey) && event.target.closest?.("a[hx-get], [hx-boost] a")) event.stopImmediatePropagation();
}, true);

// What can't be fetched as a part is asked for as a page, which says why.
for (const failed of ["htmx:responseError", "htmx:sendError"]) {
  document.body.addEventListener(failed, ({ detail: { elt } }) => {
    if (elt.matches("a[href]")) location.href = elt.href;
    if (elt.matches("form")) elt.submit();
  });
}

// --- keyboard ----------------------------------------------------------------------------------------------------------------

function rows() { return [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null || row.getClientRects().length); }
function mark(row, scroll = true) {
  if (!row) return;
  if (currentRow) currentRow.classList.remove("here");
  currentRow = row;
  row.classList.add("here");
  row.querySelector("a[data-go]")?.focus({ preventScroll: true });
  if (scroll) row.scrollIntoView({ block: "nearest" });
}
function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = currentRow ? all.indexOf(currentRow) : -1;
  mark(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + by))]);
}

// Of several long lists, the one in sight.
function turn(to) {
  const links = [...document.querySelectorAll(`a[rel=${to}]`)];
  const inSight = links.find((link) => { const box = link.getBoundingClientRect(); return box.top >= 0 && box.top < innerHeight; });
  (inSight || links[0])?.click();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const target = event.target;
  if (target.matches("input, select, textarea")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  switch (event.key) {
    case "j": step(1); break;
    case "k": step(-1); break;
    case "o":
    case "Enter": {
      if (event.key === "Enter" && target.matches("a, button, summary")) return;
      const link = currentRow && currentRow.querySelector("a[data-go]");
      if (!link) return;
      link.click();
      break;
    }
    case "/": {
      const field = document.querySelector("input[type=search]");
      if (!field) return;
      field.focus();
      field.select();
      break;
    }
    case "n": turn("next"); break;
    case "p": turn("prev"); break;
    case "u": document.querySelector(".crumbs a:last-of-type")?.click(); break;
    case "?": document.getElementById("keys")?.showModal(); break;
    default: return;
  }
  event.preventDefault();
});
document.getElementById("keys-button")?.addEventListener("click", () => document.getElementById("keys")?.showModal());

// An order that was already sent is not sent twice.
document.addEventListener("submit", (event) => {
  const again = event.submitter?.hasAttribute("formaction") ? [event.submitter] : event.target.querySelectorAll("button");
  if (event.target.method === "post") setTimeout(() => again.forEach((button) => { button.disabled = true; }), 0);
});
