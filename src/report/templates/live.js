// The strip on top of the page of a run that goes on. It asks for news every second, and after a commit it fetches the page
// again and puts in place those sections that have changed. Whatever comes from the run is put in as text.
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
  const state = make(strip, "p", "live-state", "waiting for news");
  state.setAttribute("role", "status"); // Polite: it is read out when the state changes, not with every row.
  const progress = make(strip, "progress");
  progress.setAttribute("aria-label", "rows of the source");
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
  const say = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  // The children of an element, made once for every number of items; `fill` writes an item into its child.
  const each = (parent, items, create, fill) => {
    while (parent.childElementCount > items.length) parent.lastElementChild.remove();
    while (parent.childElementCount < items.length) create(parent);
    items.forEach((item, index) => fill(parent.children[index], item));
  };

  const table = make(scroll, "table");
  const head = make(make(table, "thead"), "tr");
  const columns = ["family", "label", "rows", "rows/s", "seconds", "share"];
  columns.forEach((name, index) => make(head, "th", index > 1 ? "live-number" : "", name));
  head.children[3].title = "rows by the seconds that the stage worked";
  const body = make(table, "tbody");

  const showStages = (works) => {
    const total = works.reduce((sum, work) => sum + work.seconds, 0) || 1;
    const line = (parent) => {
      const row = make(parent, "tr");
      columns.forEach((_, index) => make(row, "td", index > 1 ? "live-number" : ""));
      row.lastElementChild.classList.add("live-share");
    };
    each(body, works, line, (row, work) => {
      const speed = work.seconds > 0 ? rate(work.rows / work.seconds) : "";
      const share = `${((100 * work.seconds) / total).toFixed(0)} %`;
      const cells = [work.family, work.label, count(work.rows), speed, work.seconds.toFixed(1), share];
      cells.forEach((text, index) => say(row.children[index], text));
      row.lastElementChild.style.setProperty("--share", `${(100 * work.seconds) / total}%`);
    });
  };

  const most = {}; // The longest queue of each study so far: it has no bound that one could show.
  const showQueues = (news) => {
    const { unworked, unworked_bound, early, batches, batches_bound, bytes, bytes_bound } = news.queues;
    const meters = batches_bound === 0 ? [] : [
      ["wait for a worker", unworked, unworked_bound, count(unworked)],
      ["wait for their turn", early, batches_bound, count(early)],
      ["batches under way", batches, batches_bound, count(batches)],
      ["memory of batches", bytes, bytes_bound, size(bytes)],
    ];
    for (const { monitor, objects } of news.waiting) {
      most[monitor] = Math.max(most[monitor] ?? 1, objects);
      meters.push([`${monitor}: objects wait`, objects, most[monitor], count(objects)]);
    }
    const line = (parent) => {
      const label = make(parent, "label");
      make(label, "span");
      make(label, "meter");
      make(label, "span", "live-number");
    };
    each(queues, meters, line, (label, [name, value, bound, text]) => {
      const [said, meter, number] = label.children;
      say(said, name);
      say(number, text);
      meter.max = Math.max(bound, value, 1);
      meter.value = value;
    });
  };

  const show = (news) => {
    const { counts, total } = news;
    say(state, `${news.state}${news.error ? `: ${news.error}` : ""}`);
    strip.dataset.state = news.state;
    if (total) {
      progress.max = total;
      progress.value = counts.source;
      document.title = `${Math.floor((100 * counts.source) / total)} % ${title}`;
    } else if (news.state !== "running") {
      progress.value = progress.max;
    }
    const parts = [total === null ? `${count(counts.source)} rows` : `${count(counts.source)} of ${count(total)} rows`];
    if (news.state === "running") parts.push(`${rate(news.rows_per_second)} rows/s`);
    if (news.seconds_left > 0) parts.push(`${duration(news.seconds_left)} left`);
    if (news.state === "running" && total === counts.source) parts.push("monitors catch up");
    for (const name of ["filtered", "rejected"]) if (counts[name]) parts.push(`${count(counts[name])} ${name}`);
    parts.push(`${count(news.commits)} ${news.commits === 1 ? "commit" : "commits"}`, `as of ${time(news.updated_unix_seconds)}`);
    say(rows, parts.join(" · "));
    showQueues(news);
    showStages(news.stages);
    findings.hidden = news.findings === 0;
    say(findingsTitle, `Findings: ${count(news.findings)}`);
    const tell = (item, found) => say(item, `${found.monitor}: ${found.message}`);
    each(findingsList, news.last_findings, (list) => make(list, "li"), tell);
  };

  // Changes the page and keeps in place what is being read below the strip.
  document.documentElement.style.overflowAnchor = "none";
  const sections = (main) => [...main.querySelectorAll("section[data-digest]")];
  const keepPlace = (change) => {
    const top = (section) => section.getBoundingClientRect().top;
    const isBelow = strip.getBoundingClientRect().bottom < 0;
    const read = isBelow && sections(document).find((section) => section.getBoundingClientRect().bottom > 0);
    const before = read && top(read);
    change();
    const now = read && document.getElementById(read.id);
    if (now) scrollBy({ top: top(now) - before, behavior: "instant" });
  };

  // Puts sections that differ in place of the old ones; what was unfolded stays so. A page without any takes the headings too.
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

  const get = async (path, patience) => {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(patience) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer;
  };

  let edition = null; // The commits and the state that the sections tell of.
  let fetching = null;
  let notBefore = 0;
  const fetchPage = async (current) => {
    const begun = performance.now();
    try {
      const page = new DOMParser().parseFromString(await (await get("/", 120000)).text(), "text/html");
      if (page.querySelector("main:not([data-empty])")) keepPlace(() => replaceSections(page));
      edition = current;
    } catch {
      // The sections stay as they are until the next news.
    }
    // A page that is long in the making is asked for less often: the run comes first.
    notBefore = performance.now() + 4 * (performance.now() - begun);
    fetching = null;
  };

  let news = null;
  let failures = 0;
  const poll = async () => {
    try {
      news = await (await get("status.json", 5000)).json();
      failures = 0;
      keepPlace(() => show(news));
    } catch {
      failures += 1;
    }
    const current = `${news?.commits} ${news?.state}`;
    if (failures > 0) {
      const last = news ? `; the last news came at ${time(news.updated_unix_seconds)}` : "";
      say(state, `connection lost: the run has ended, or its machine cannot be reached${last}`);
      strip.dataset.state = "lost";
    } else if (news.state !== "running") {
      // Nothing is asked for after the last page: the server goes when all have it.
      await fetching;
      await fetchPage(current);
      if (edition !== current) say(state, `${state.textContent}; the report below is that of an earlier commit`);
      return;
    } else if (current !== edition && !fetching && performance.now() >= notBefore) {
      fetching = fetchPage(current);
    }
    // A server that does not answer is asked less and less often.
    setTimeout(poll, Math.min(1000 * 2 ** failures, 30000));
  };
  poll();
})();
