// Draws what a backend did and how it fared from the tables beside it, and keeps open what a person opened while parts are refreshed.
"use strict";

(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const draw = (at) => {
    const rows = [...document.querySelectorAll(`#${at.dataset.plot} tbody tr[data-at]`)];
    if (!window.uPlot || rows.length < 2) return;
    const number = (row, of) => (row.dataset[of] === "" ? null : Number(row.dataset[of]));
    const series = at.dataset.series.split(";").map((s) => s.split(":"));
    const data = ["at", ...series.map(([of]) => of)].map((of) => rows.map((row) => number(row, of)));
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const clock = (second) => new Date(second * 1000).toISOString(); // as in the table beside it, not the browser's own zone
    const width = () => Math.max(200, at.clientWidth);
    at.replaceChildren();
    const plot = new uPlot({
      width: width(), height: 220,
      tzDate: (second) => uPlot.tzDate(new Date(second * 1000), "Etc/UTC"),
      series: [{ label: "Time, UTC", value: (_, second) => (second == null ? "--" : clock(second).slice(5, 16).replace("T", " ")) }, ...series.map(([, label, stroke], i) => ({ label, stroke: colour("--" + stroke), width: 2 - i, dash: i ? [4, 4] : [] }))],
      axes: [{ ...axis, values: (_, all) => all.map((second) => clock(second).slice(11, 16)) }, { ...axis, size: 64, values: (_, all) => all.map((v) => v + at.dataset.unit) }],
      scales: { y: { range: (_, low, high) => [0, Math.max(at.dataset.unit === "/s" ? 0.1 : 1, high * 1.1)] } },
    }, data, at);
    if (at.watch) at.watch.disconnect();
    at.watch = new ResizeObserver(() => plot.setSize({ width: width(), height: 220 }));
    at.watch.observe(at);
  };

  const all = () => document.querySelectorAll("[data-plot]").forEach(draw);
  all();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);

  const open = new Set();
  document.addEventListener("click", (e) => {
    const of = e.target.closest("summary")?.parentElement;
    if (!of?.matches("details[data-keep]")) return;
    if (of.open) open.delete(of.id); else open.add(of.id);
  });
  new MutationObserver(() => {
    for (const id of open) {
      const of = document.getElementById(id);
      if (of && !of.open) of.open = true;
    }
  }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["open"] });
})();
