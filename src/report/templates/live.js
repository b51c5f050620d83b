// The strip at the top of the live page. It polls the status every second. After a commit it fetches the page again and replaces
// the sections that have changed. All strings from the run are inserted as text, never as HTML.
"use strict";
(() => {
  const strip = document.getElementById("live");
  if (!strip) return;
  const title = document.title;

  const make = (parent, tag, name = "", text = "") => {
    const element = document.createElement(tag);
    element.className = name;
    element.textContent = text;
    parent.append(element);
    return element;
  };
  const state = make(strip, "p", "live-state", "connecting");
  state.setAttribute("role", "status"); // Screen readers announce changes of the state, not of the counts.
  const progress = make(strip, "progress");
  progress.setAttribute("aria-label", "rows read from the source");
  const rows = make(strip, "p", "live-rows");
  const queues = make(strip, "div", "live-queues");
  const stages = make(strip, "details");
  stages.open = true;
  make(stages, "summary", "", "Stages");
  const scroll = make(stages, "div", "live-scroll");
  const findings = make(strip, "details");
  findings.open = true;
  findings.hidden = true;
  const findingsTitle = make(findings, "summary");
  const findingsList = make(findings, "ol");

  const count = (number) => Math.round(number).toLocaleString("en");
  const rate = (number) => (number < 10 ? number.toFixed(1) : count(number));
  const time = (unixSeconds) => new Date(unixSeconds * 1000).toLocaleTimeString();
  const size = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const duration = (seconds) => {
    if (seconds < 90) return `${Math.ceil(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return `${(seconds / 3600).toFixed(1)} h`;
  };
  const setText = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  // Gives an element one child per item. Existing children are reused; `fill` writes an item into its child.
  const syncChildren = (parent, items, create, fill) => {
    while (parent.childElementCount > items.length) parent.lastElementChild.remove();
    while (parent.childElementCount < items.length) create(parent);
    items.forEach((item, index) => fill(parent.children[index], item));
  };

  const table = make(scroll, "table");
  const head = make(make(table, "thead"), "tr");
  const columns = ["family", "label", "rows", "rows/s", "seconds", "share"];
  columns.forEach((name, index) => make(head, "th", index > 1 ? "live-number" : "", name));
  head.children[3].title = "rows per second of work of the stage";
  const body = make(table, "tbody");

  const showStages = (allWork) => {
    const total = allWork.reduce((sum, work) => sum + work.seconds, 0) || 1;
    const line = (parent) => {
      const row = make(parent, "tr");
      columns.forEach((_, index) => make(row, "td", index > 1 ? "live-number" : ""));
      row.lastElementChild.classList.add("live-share");
    };
    syncChildren(body, allWork, line, (row, work) => {
      const speed = work.seconds > 0 ? rate(work.rows / work.seconds) : "";
      const share = `${((100 * work.seconds) / total).toFixed(0)} %`;
      const cells = [work.family, work.label, count(work.rows), speed, work.seconds.toFixed(1), share];
      cells.forEach((text, index) => setText(row.children[index], text));
      row.lastElementChild.style.setProperty("--share", `${(100 * work.seconds) / total}%`);
    });
  };

  const longest = {}; // The longest queue of each monitor and split so far. These queues have no fixed limit to show.
  const showQueues = (status) => {
    const { unworked, unworked_bound, early, batches, batches_bound, bytes, bytes_bound } = status.queues;
    const meters = batches_bound === 0 ? [] : [
      ["waiting for a worker", unworked, unworked_bound, count(unworked)],
      ["reorder buffer", early, batches_bound, count(early)],
      ["batches in flight", batches, batches_bound, count(batches)],
      ["memory of batches", bytes, bytes_bound, size(bytes)],
    ];
    for (const { monitor, objects } of status.waiting) {
      longest[monitor] = Math.max(longest[monitor] ?? 1, objects);
      meters.push([`${monitor}: pending objects`, objects, longest[monitor], count(objects)]);
    }
    for (const { split, messages } of status.source_lag) {
      longest[split] = Math.max(longest[split] ?? 1, messages);
      meters.push([`${split}: messages behind`, messages, longest[split], count(messages)]);
    }
    const line = (parent) => {
      const label = make(parent, "label");
      make(label, "span");
      make(label, "meter");
      make(label, "span", "live-number");
    };
    syncChildren(queues, meters, line, (label, [name, value, bound, text]) => {
      const [title, meter, number] = label.children;
      setText(title, name);
      setText(number, text);
      meter.max = Math.max(bound, value, 1);
      meter.value = value;
    });
  };

  const show = (status) => {
    const { counts, total } = status;
    setText(state, `${status.state}${status.error ? `: ${status.error}` : ""}`);
    strip.dataset.state = status.state;
    if (total) {
      progress.max = total;
      progress.value = counts.source;
      document.title = `${Math.floor((100 * counts.source) / total)} % ${title}`;
    } else if (status.state !== "running") {
      progress.value = progress.max;
    }
    const parts = [total === null ? `${count(counts.source)} rows` : `${count(counts.source)} of ${count(total)} rows`];
    if (status.state === "running") parts.push(`${rate(status.rows_per_second)} rows/s`);
    if (status.seconds_left > 0) parts.push(`${duration(status.seconds_left)} left`);
    if (status.state === "running" && total === counts.source) parts.push("finishing monitors");
    for (const name of ["filtered", "rejected"]) if (counts[name]) parts.push(`${count(counts[name])} ${name}`);
    parts.push(`${count(status.commits)} ${status.commits === 1 ? "commit" : "commits"}`, `as of ${time(status.updated_unix_seconds)}`);
    setText(rows, parts.join(" · "));
    showQueues(status);
    showStages(status.stages);
    findings.hidden = status.findings === 0;
    setText(findingsTitle, `Findings: ${count(status.findings)}`);
    const fill = (item, finding) => setText(item, `${finding.monitor}: ${finding.message}`);
    syncChildren(findingsList, status.last_findings, (list) => make(list, "li"), fill);
  };

  // Runs a change of the page and restores the scroll position of the section being read.
  document.documentElement.style.overflowAnchor = "none";
  const sections = (main) => [...main.querySelectorAll("section[data-digest]")];
  const keepScroll = (change) => {
    const top = (section) => section.getBoundingClientRect().top;
    const isBelowStrip = strip.getBoundingClientRect().bottom < 0;
    const current = isBelowStrip && sections(document).find((section) => section.getBoundingClientRect().bottom > 0);
    const before = current && top(current);
    change();
    const after = current && document.getElementById(current.id);
    if (after) scrollBy({ top: top(after) - before, behavior: "instant" });
  };

  // Replaces the sections that differ and keeps their details open or closed. A page without sections also gets the new header.
  const replaceSections = (page) => {
    const [main, fresh] = [document, page].map((either) => either.querySelector("main"));
    if (main.hasAttribute("data-empty")) {
      document.querySelector("header").replaceWith(document.adoptNode(page.querySelector("header")));
      main.querySelector(".note").remove();
      main.removeAttribute("data-empty");
    }
    const wanted = sections(fresh);
    let last = strip;
    for (const section of wanted) {
      const old = sections(main).find((candidate) => candidate.id === section.id);
      if (old?.dataset.digest === section.dataset.digest) {
        last = old;
        continue;
      }
      const key = (details) => details.id || details.querySelector("summary")?.textContent;
      const known = new Map([...(old?.querySelectorAll("details") ?? [])].map((details) => [key(details), details.open]));
      section.querySelectorAll("details").forEach((details) => (details.open = known.get(key(details)) ?? details.open));
      const adopted = document.adoptNode(section);
      if (old) old.replaceWith(adopted);
      else last.after(adopted);
      last = adopted;
    }
    const ids = new Set(wanted.map((section) => section.id));
    sections(main).filter((section) => !ids.has(section.id)).forEach((section) => section.remove());
    document.dispatchEvent(new CustomEvent("lucarne:sections"));
  };

  const get = async (path, timeout) => {
    const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(timeout) });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response;
  };

  let revision = null; // The number of commits and the state that the sections show.
  let fetching = null;
  let notBefore = 0;
  const fetchPage = async (current) => {
    const started = performance.now();
    try {
      const page = new DOMParser().parseFromString(await (await get("/", 120000)).text(), "text/html");
      if (page.querySelector("main:not([data-empty])")) keepScroll(() => replaceSections(page));
      revision = current;
    } catch {
      // Keep the old sections until the next poll.
    }
    // Request slow pages less often, to leave the CPU to the run.
    notBefore = performance.now() + 4 * (performance.now() - started);
    fetching = null;
  };

  let status = null;
  let failures = 0;
  const poll = async () => {
    try {
      status = await (await get("status.json", 5000)).json();
      failures = 0;
      keepScroll(() => show(status));
    } catch {
      failures += 1;
    }
    const current = `${status?.commits} ${status?.state}`;
    if (failures > 0) {
      const last = status ? `; last update at ${time(status.updated_unix_seconds)}` : "";
      setText(state, `connection lost: the run has ended, or the machine cannot be reached${last}`);
      strip.dataset.state = "lost";
    } else if (status.state !== "running") {
      // Stop polling after the final page: the server exits when all viewers have it.
      await fetching;
      await fetchPage(current);
      if (revision !== current) setText(state, `${state.textContent}; the report below shows an earlier commit`);
      return;
    } else if (current !== revision && !fetching && performance.now() >= notBefore) {
      fetching = fetchPage(current);
    }
    // Back off while the server does not respond.
    setTimeout(poll, Math.min(1000 * 2 ** failures, 30000));
  };
  poll();
})();
