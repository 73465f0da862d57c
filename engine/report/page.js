'use strict';
const runs = JSON.parse(document.getElementById('data').textContent);
const texts = JSON.parse(document.getElementById('figures').textContent);

// Okabe and Ito's colours, which the colour-blind tell apart; dashes and shapes say the same once more.
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#9a8419', '#888888', '#b0b0b0', '#5b3a9b', '#7a4a2b'];
const dashes = [[], [6, 3], [2, 2], [8, 3, 2, 3], [10, 4]];
const shapes = ['circle', 'rect', 'triangle', 'rectRot', 'cross', 'star', 'crossRot', 'rectRounded'];
const charts = [];

const element = (name, text, parent, attributes = {}) => {
  const made = document.createElement(name);
  if (text !== null && text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
};
const known = x => typeof x === 'number' && Number.isFinite(x);
const digits = x => !known(x) ? '–' : x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e6) ? x.toExponential(2) : String(+x.toPrecision(4));
const share = (x, places = 2) => known(x) ? (100 * x).toFixed(places) + ' %' : '–';
const bytes = x => { const u = ['B', 'KiB', 'MiB', 'GiB', 'TiB']; let i = 0; while (x >= 1024 && i < 4) x /= 1024, ++i; return x.toPrecision(3) + ' ' + u[i]; };

// A table: what every chart shows, as it is in the data.
function table(parent, head, rows) {
  const made = element('table', null, element('div', null, parent, {class: 'scroll', tabindex: 0}));
  const top = element('tr', null, element('thead', null, made));
  head.forEach(h => element('th', h, top, {scope: 'col'}));
  const body = element('tbody', null, made);
  for (const row of rows) {
    const line = element('tr', null, body);
    row.forEach((cell, i) => {
      const td = element(i ? 'td' : 'th', typeof cell === 'number' ? digits(cell) : cell === null ? '–' : cell, line);
      if (typeof cell === 'number') td.dataset.value = cell;
      if (!i) td.scope = 'row';
    });
  }
  return made;
}

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const intervals = { // thin lines from low to high over bars
  id: 'intervals',
  afterDatasetsDraw(chart) {
    chart.data.datasets.forEach((set, s) => {
      if (!set.intervals) return;
      const across = chart.options.indexAxis === 'y', scale = across ? chart.scales.x : chart.scales.y;
      chart.getDatasetMeta(s).data.forEach((bar, i) => {
        const [low, high] = set.intervals[i] || [];
        if (!known(low) || !known(high)) return;
        const a = scale.getPixelForValue(low), b = scale.getPixelForValue(high), c = chart.ctx;
        c.save();
        c.strokeStyle = css('--text'), c.lineWidth = 1.5;
        c.beginPath();
        if (across) c.moveTo(a, bar.y), c.lineTo(b, bar.y);
        else c.moveTo(bar.x, a), c.lineTo(bar.x, b);
        c.stroke();
        c.restore();
      });
    });
  }
};

// A chart, what it says in words, and its numbers.
function chart(parent, {title, meaning, type, data, options, head, rows, tall}) {
  const figure = element('figure', null, parent), caption = element('figcaption', null, figure);
  element('b', title, caption);
  if (meaning) element('small', meaning, caption);
  const canvas = element('canvas', null, element('div', null, figure, {class: tall ? 'canvas tall' : 'canvas'}),
                         {role: 'img', 'aria-label': `${title}. ${meaning || ''} The numbers are in the table below it.`});
  const details = element('details', null, figure);
  element('summary', 'the numbers', details);
  table(details, head, rows);
  const made = new Chart(canvas, {type, data, plugins: [intervals], options: {
    animation: false, responsive: true, maintainAspectRatio: false, ...options,
    plugins: {legend: {display: data.datasets.length > 1, labels: {boxWidth: 18, usePointStyle: type === 'scatter'}},
              ...(options.plugins || {})}}});
  charts.push(made);
}
function recolour() {
  Chart.defaults.color = css('--text'), Chart.defaults.borderColor = css('--rule');
  for (const c of charts) {
    for (const scale of Object.values(c.options.scales || {})) {
      scale.grid = {...(scale.grid || {}), color: css('--rule')};
      scale.ticks = {...(scale.ticks || {}), color: css('--text')};
      if (scale.title) scale.title.color = css('--text');
    }
    if (c.options.plugins.legend) c.options.plugins.legend.labels.color = css('--text');
    c.update('none');
  }
}
const axis = (text, type = 'linear', more = {}) => ({type, title: {display: !!text, text}, ...more});
const scaleOf = values => { // logarithmic where they span decades
  const finite = values.filter(known), low = Math.min(...finite), high = Math.max(...finite);
  return finite.length && low > 0 && high > 10 * low ? 'logarithmic' : 'linear';
};
const line = (name, xs, ys, i, more = {}) => ({
  label: name, data: xs.map((x, j) => ({x, y: ys[j]})), borderColor: colours[i % colours.length], backgroundColor: colours[i % colours.length],
  borderDash: dashes[Math.floor(i / 3) % dashes.length], borderWidth: 2, pointRadius: xs.length > 60 ? 0 : 2, pointStyle: shapes[i % shapes.length], showLine: true, ...more});

// Curves that share an x: the table has a column a curve.
function curves(parent, title, meaning, xLabel, yLabel, all, options = {}) {
  const rows = new Map();
  all.forEach(([, xs, ys], i) => xs.forEach((x, j) => {
    if (!rows.has(x)) rows.set(x, [x, ...all.map(() => null)]);
    rows.get(x)[i + 1] = known(ys[j]) ? ys[j] : null;
  }));
  chart(parent, {
    title, meaning, type: 'scatter', tall: options.tall,
    data: {datasets: all.map(([name, xs, ys, more], i) => line(name, xs, ys, i, more))},
    options: {scales: {x: axis(xLabel, options.x || 'linear'), y: axis(yLabel, scaleOf(all.flatMap(c => c[2])))}},
    head: [xLabel, ...all.map(c => c[0])], rows: [...rows.values()].sort((a, b) => a[0] - b[0])});
}

const estimate = e => !e ? null : 'value' in e ? e : {value: e.mean, low: e.low, high: e.high, n: e.n};
function bars(parent, title, meaning, unit, entries, percent) { // entries: [name, estimate]
  const by = percent ? 100 : 1;
  chart(parent, {
    title, meaning, type: 'bar',
    data: {labels: entries.map(e => e[0]), datasets: [{
      label: title, data: entries.map(e => known(e[1].value) ? by * e[1].value : null),
      intervals: entries.map(e => [known(e[1].low) ? by * e[1].low : null, known(e[1].high) ? by * e[1].high : null]),
      backgroundColor: entries.map((e, i) => colours[i % colours.length])}]},
    options: {indexAxis: 'y', scales: {x: axis(unit, 'linear', {beginAtZero: true}), y: {type: 'category'}}},
    head: ['group', 'value', '95 % from', 'to', 'n'], rows: entries.map(([n, e]) => [n, e.value, e.low, e.high, e.n])});
}

function verdictOf(parent, group) {
  const box = element('div', null, parent, {class: 'verdict'});
  const head = element('div', null, box);
  element('strong', `${group.name}: ${group.verdict}`, head);
  const list = element('ul', null, box);
  group.reasons.forEach(r => element('li', r, list));
}

const works = run => run.groups.filter(g => g.networks > g.broken);

// Of networks without an accuracy: whatever figures their groups have.
function figuresOf(parent, groups) {
  const figures = [...texts.each, ...texts.group].filter(t => groups.some(g => g[t.name]));
  const shown = (t, e) => e ? (t.percent ? share(estimate(e).value, 0) : digits(estimate(e).value)) : null;
  table(parent, ['group', 'verdict', 'networks', 'broken', ...figures.map(t => t.title)],
        groups.map(g => [g.name, g.verdict || '', g.networks, g.broken, ...figures.map(t => shown(t, g[t.name]))]));
}

function groupsOf(parent, run) {
  const groups = run.groups.filter(g => g.accuracy);
  if (!groups.length) return figuresOf(parent, run.groups);
  const broken = groups.some(g => g.broken > 0);
  table(parent, ['group', 'verdict', 'networks', ...(broken ? ['broken'] : []), 'accuracy', '±', 'best', 'loss', 'calibration error', 'overlap of mistakes',
                 'L2 to nearest', 'memorised', '95 %', 'Z_U'],
        groups.map(g => [g.name, g.verdict || '', g.networks, ...(broken ? [g.broken] : []), share(g.accuracy.mean), share(g.accuracy.std), share(g.accuracy.max), g.loss.mean,
                         g.ece ? share(g.ece.mean) : null, g.max_iou.mean, g.nearest_l2.mean, share(g.memorised.value, 0),
                         `${(100 * g.memorised.low).toFixed(0)} to ${(100 * g.memorised.high).toFixed(0)}`, g.z_u ? g.z_u.value : null]));
  const grid = element('div', null, parent, {class: 'charts'});
  for (const name of ['accuracy', 'loss', 'nearest_l2']) { // how each group is spread
    const with_it = groups.filter(g => g.histograms[name]);
    if (!with_it.length) continue;
    const text = texts.each.find(t => t.name === name), h = with_it[0].histograms[name], n = h.count.length;
    const middle = h.count.map((_, i) => h.low + (i + 0.5) * (h.high - h.low) / n);
    curves(grid, `${text.title}: how it is spread`, text.meaning, text.title, 'networks', with_it.map(g => [g.name, middle, g.histograms[name].count, {pointRadius: 0}]));
  }
  const scatter = groups.filter(g => g.points.accuracy && g.points.max_iou);
  if (scatter.length) {
    const frontier = groups.find(g => g.series.frontier);
    const sets = scatter.map((g, i) => ({label: g.name, data: g.points.accuracy.map((x, j) => ({x, y: g.points.max_iou[j]})), pointStyle: shapes[i % shapes.length],
                                         backgroundColor: colours[i % colours.length] + 'b0', borderColor: colours[i % colours.length], pointRadius: 3}));
    if (frontier) sets.push({...line('noise copies', frontier.series.frontier.x, frontier.series.frontier.y, 7), borderWidth: 3});
    chart(grid, {
      title: 'New for its accuracy?', type: 'scatter', tall: true, data: {datasets: sets},
      meaning: 'Mistakes shared with the training network most alike, against accuracy. Below the line of noise copies is newer than noise makes it.',
      options: {scales: {x: axis('accuracy'), y: axis('largest IoU of mistakes')}},
      head: ['group', 'accuracy', 'overlap of mistakes'], rows: scatter.flatMap(g => g.points.accuracy.map((x, j) => [g.name, x, g.points.max_iou[j]]))});
  }
}

function themesOf(parent, run) {
  const groups = works(run);
  for (const [theme, title] of [['quality', 'Quality'], ['novelty', 'Novelty'], ['diversity', 'Diversity'], ['landscape', 'Landscape'], ['agreement', 'Agreement']]) {
    const figures = [...texts.each, ...texts.group].filter(t => t.theme === theme && groups.some(g => g[t.name]));
    const series = texts.series.filter(t => t.theme === theme && t.name !== 'frontier' && groups.some(g => g.series[t.name]));
    const singular = theme === 'landscape' ? [...new Set(groups.flatMap(g => Object.keys(g.series).filter(n => n.startsWith('singular.'))))] : [];
    if (!figures.length && !series.length && !singular.length) continue;
    element('h3', title, parent);
    const grid = element('div', null, parent, {class: 'charts'});
    for (const t of series) {
      const all = groups.filter(g => g.series[t.name]).map(g => [g.name, g.series[t.name].x, g.series[t.name].y]);
      curves(grid, t.title, t.meaning, t.x_label, t.y_label, all, {x: t.name === 'spectrum' || t.name === 'ensemble' ? 'logarithmic' : 'linear'});
    }
    for (const name of singular)
      curves(grid, `Singular values of ${name.slice(9)}`, 'in the mean of a group', 'number', 'singular value', groups.filter(g => g.series[name]).map(g => [g.name, g.series[name].x, g.series[name].y]));
    for (const t of figures)
      bars(grid, t.title, t.meaning, t.x_label, groups.filter(g => g[t.name]).map(g => [g.name, estimate(g[t.name])]), t.percent);
  }
}

function trainingOf(parent, run) {
  if (run.losses.length || run.probes.length) {
    element('h3', 'Training', parent);
    const grid = element('div', null, parent, {class: 'charts'});
    for (const l of run.losses) curves(grid, `Loss of ${l.stage}`, 'of the mini-batches, each stage over its own steps', 'step', l.unit, [[l.stage, l.step, l.value]]);
    for (const p of run.probes) curves(grid, `${p.unit} of samples in training`, `${p.stage}: networks of the generator of the moment`, 'step', p.unit, [[p.unit, p.step, p.value]]);
  }
  if (run.speed.length) {
    element('h3', 'Throughput', parent);
    table(parent, ['work', 'done', 'unit', 'seconds', 'a second'], run.speed.map(s => [s.what, s.done, s.unit, s.seconds, s.seconds > 0 ? s.done / s.seconds : null]));
  }
  if (run.memory.length) {
    element('h3', 'Memory', parent);
    table(parent, ['stage', 'planned', 'at the most, measured'], run.memory.map(m => [m.stage, bytes(m.bytes), m.peak ? bytes(m.peak) : '–']));
    const grid = element('div', null, parent, {class: 'charts'}), kinds = [...new Set(run.memory.flatMap(m => m.entries.map(e => e.kind)))];
    for (const m of run.memory) {
      if (!m.entries.length) continue;
      const on = m.entries.filter(e => e.kind !== 'staging').sort((a, b) => a.offset - b.offset);
      chart(grid, {
        title: `Plan of ${m.stage}`, meaning: 'where each of the largest tensors lies in the device’s block; those that share bytes are never alive together', type: 'bar',
        data: {labels: on.map(e => e.name), datasets: [{label: 'bytes', data: on.map(e => [e.offset / 2 ** 20, (e.offset + e.bytes) / 2 ** 20]), minBarLength: 2,
                                                        backgroundColor: on.map(e => colours[kinds.indexOf(e.kind) % colours.length])}]},
        options: {indexAxis: 'y', scales: {x: axis('MiB', 'linear', {beginAtZero: true}), y: {type: 'category', ticks: {autoSkip: false, font: {size: 10}}}}},
        head: ['tensor', 'kind', 'bytes', 'from byte', 'born', 'died'], rows: m.entries.map(e => [e.name, e.kind, e.bytes, e.offset, e.born, e.died]), tall: true});
    }
  }
}

function waysOf(parent, run) {
  const plane = run.trajectories;
  if (!plane) return;
  element('h3', 'Trajectories', parent);
  table(parent, ['way', 'states', 'path length', 'displacement', 'length / displacement', 'mean turn, degrees', 'first loss', 'last loss'],
        plane.ways.map(w => [w.name, w.x.length, w.length, w.displacement, w.displacement > 0 ? w.length / w.displacement : null, w.turn, w.loss[0], w.loss[w.loss.length - 1]]));
  const grid = element('div', null, parent, {class: 'charts'});
  const kinds = ['descent', 'denoising', 'predicted'];
  chart(grid, {
    title: 'Ways through weight space', meaning: `In the plane of their two largest directions, ${share(plane.explained[0], 0)} and ${share(plane.explained[1], 0)} of the variance.`, type: 'scatter', tall: true,
    data: {datasets: plane.ways.map(w => ({...line(w.name, w.x, w.y, kinds.indexOf(w.kind)), showLine: w.kind !== 'predicted', pointRadius: w.kind === 'predicted' ? 2 : 0}))},
    options: {scales: {x: axis('first direction'), y: axis('second direction')}},
    head: ['way', 'state', 'first direction', 'second direction', 'loss'], rows: plane.ways.flatMap(w => w.x.map((x, i) => [w.name, i, x, w.y[i], w.loss[i]]))});
  curves(grid, 'Loss along the way', 'from a way’s beginning to its end', 'share of its states', 'loss',
         plane.ways.map(w => [w.name, w.x.map((_, i) => i / Math.max(1, w.x.length - 1)), w.loss, {borderColor: colours[kinds.indexOf(w.kind)], backgroundColor: colours[kinds.indexOf(w.kind)], pointRadius: 0}]), {tall: true});
}

function show(parent, run, several) {
  if (several) element('h2', run.name, parent);
  const facts = element('dl', null, parent, {class: 'facts'});
  for (const [name, value] of [['made', run.date], ['device', run.device], ['theta', run.theta], ['note', run.note]])
    if (value) element('dt', name, facts), element('dd', value, facts);
  run.groups.filter(g => g.role === 'generated').forEach(g => verdictOf(parent, g));
  if (run.groups.length) groupsOf(parent, run);
  for (const p of run.pictures) {
    const figure = element('figure', null, parent);
    element('figcaption', p.title, figure);
    element('img', null, figure, {src: 'data:image/png;base64,' + p.png, alt: p.title});
  }
  themesOf(parent, run), waysOf(parent, run), trainingOf(parent, run);
  const settings = element('details', null, parent);
  element('summary', 'settings', settings);
  element('pre', run.config, settings);
}

function sideBySide(parent) {
  element('h2', 'Side by side', parent);
  const rows = runs.flatMap(run => run.groups.filter(g => g.accuracy && ['generated', 'held_out', 'asked'].includes(g.role)).map(g => [run, g]));
  if (!rows.length) return;
  const label = ([run, g]) => `${run.name}: ${g.name}`;
  table(parent, ['group', 'accuracy', '±', 'memorised', 'Z_U', 'overlap of mistakes', 'verdict'],
        rows.map(r => [label(r), share(r[1].accuracy.mean), share(r[1].accuracy.std), share(r[1].memorised.value, 0), r[1].z_u ? r[1].z_u.value : null, r[1].max_iou.mean, r[1].verdict || '']));
  const grid = element('div', null, parent, {class: 'charts'});
  for (const name of ['accuracy', 'memorised', 'nearest_l2', 'one_nna', 'variance', 'ece']) {
    const t = [...texts.each, ...texts.group].find(x => x.name === name), with_it = rows.filter(r => r[1][name]);
    if (with_it.length) bars(grid, t.title, t.meaning, t.x_label, with_it.map(r => [label(r), estimate(r[1][name])]), t.percent);
  }
}

Chart.defaults.color = css('--text'), Chart.defaults.borderColor = css('--rule'), Chart.defaults.font.family = 'system-ui, "DejaVu Sans", sans-serif';
const main = document.querySelector('main');
if (runs.length > 1) sideBySide(main);
for (const run of runs) show(element('section', null, main), run, runs.length > 1);
recolour();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);
addEventListener('beforeprint', () => { document.querySelectorAll('details').forEach(d => d.open = true); recolour(); charts.forEach(c => c.resize()); });
addEventListener('afterprint', recolour);
document.documentElement.dataset.ready = charts.length;
