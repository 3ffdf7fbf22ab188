// What a table has come to: labels, how sure the model was of them, and the texts of which it was least sure.
import { $, bar, count, draw, make, number, percent } from './dom.js';

/** Classes that are drawn, at most: those with most texts. */
const MOST_CLASSES = 8;

/** Hundredths of confidence in a bar. */
const BIN = 2;

/** Shows an account of the server's. */
export function showStatistics(account) {
  const all = account.labels.map(({ label, texts, hundredths }, kind) => ({ label, texts, hundredths, kind }));
  const labelled = all.reduce((sum, { texts }) => sum + texts, 0);
  $('statistics').hidden = labelled === 0;
  if (!labelled) return;
  const shown = all.length <= MOST_CLASSES ? all : all.toSorted((a, b) => b.texts - a.texts).slice(0, MOST_CLASSES);
  showShares(shown, labelled, all);
  const from = Math.floor(10 / all.length) * 10;
  $('histograms').replaceChildren(...shown.filter(({ texts }) => texts).map(found => histogram(found, from)));
  $('least').replaceChildren(...account.least_certain.map(example));
}

function showShares(shown, labelled, all) {
  const most = Math.max(...shown.map(({ texts }) => texts));
  const rows = shown.map(({ label, texts, kind }) => {
    const name = make('th', { scope: 'row' }, label);
    return make('tr', {}, name, make('td', { className: 'track' }, bar(texts / most, kind)),
      make('td', { className: 'figure' }, number(texts)), make('td', { className: 'figure quiet' }, percent(texts / labelled)));
  });
  const rest = all.length - shown.length;
  if (rest) {
    const others = all.reduce((sum, { texts }) => sum + texts, 0) - shown.reduce((sum, { texts }) => sum + texts, 0);
    const name = make('th', { scope: 'row' }, `${number(rest)} more`);
    rows.push(make('tr', {}, name, make('td'), make('td', { className: 'figure' }, number(others)), make('td', { className: 'figure quiet' }, percent(others / labelled))));
  }
  $('shares').replaceChildren(make('tbody', {}, ...rows));
}

/** The confidences of a class, from `from` hundredths to the whole. */
function histogram({ label, texts, hundredths, kind }, from) {
  const bins = [];
  for (let at = from; at < 100; at += BIN) bins.push(hundredths.slice(at, at + BIN).reduce((sum, value) => sum + value, 0));
  const most = Math.max(...bins, 1);
  const [width, height] = [400, 56];
  const step = width / bins.length;
  const bars = bins.map((value, index) => {
    const tall = value ? Math.max(1, (height * value) / most) : 0;
    return draw('rect', { x: index * step + 0.5, y: height - tall, width: step - 1, height: tall, class: `class-${kind % 6}` });
  });
  const sure = hundredths.slice(90).reduce((sum, value) => sum + value, 0);
  const words = `${label}: ${count(texts, 'text')}, ${percent(sure / texts)} of them with a confidence of 0.9 or more`;
  const chart = draw('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': words }, ...bars);
  const axis = make('p', { className: 'axis' }, make('span', {}, (from / 100).toFixed(1)), make('span', {}, ((from + 100) / 200).toFixed(2)), make('span', {}, '1.0'));
  axis.setAttribute('aria-hidden', 'true');
  return make('figure', {}, make('figcaption', {}, make('b', {}, label), ` ${percent(sure / texts)} at 0.9 or more`), chart, axis);
}

function example({ row, text, is_cut, label, confidence }) {
  const head = make('p', {}, make('b', { className: 'figure' }, confidence.toFixed(4)), ' ', make('span', { className: 'chip' }, label), ' ',
    make('span', { className: 'quiet' }, `row ${number(row)}`));
  return make('li', {}, head, make('p', { className: 'quote whole' }, is_cut ? `${text}…` : text));
}
