// Texts that are typed, scored while they are.
import { $, announce, bar, count, make, number, percent, say } from './dom.js';
import { Away, Refused, ask, isAbort, pause } from './server.js';
import { classes } from './status.js';

/** How long a pause in typing is, in seconds. */
const PAUSE = 0.25;

/** Lines that are scored while one types; a file may have any number. */
const MOST_LINES = 200;

/** Other classes that are named beside a label. */
const RUNNERS_UP = 3;

const EXAMPLES = [
  'A quiet, generous film that earns every one of its tears.',
  'Two hours of my life that I will not get back.',
  'It is not without charm, though the second half drags.',
];

let asked = new AbortController();

/** The texts of the lines that are not blank, and how many there are beyond the first. */
export function read(value) {
  const lines = value.split(/\r\n|\n|\r/).filter(line => line.trim());
  return { texts: lines.slice(0, MOST_LINES), beyond: Math.max(0, lines.length - MOST_LINES) };
}

/** The scores of texts, in order. */
async function score(texts, signal) {
  const query = 'score?text=text&columns=new&details=true&probabilities=true&on_error=null';
  const body = texts.map(text => `${JSON.stringify({ text: text.toWellFormed?.() ?? text })}\n`).join('');
  const answer = await ask(query, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body, signal });
  try {
    return (await answer.text()).split('\n').filter(Boolean).map(line => JSON.parse(line));
  } catch (error) {
    throw isAbort(error) ? error : new Away('The answer broke off.');
  }
}

/** Scores what stands there now, once nothing was typed for a moment. What was asked before is given up. */
export async function scoreTexts(wait = PAUSE) {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  const { texts, beyond } = read($('texts').value);
  try {
    await pause(wait, signal);
    await untilTaken(texts, beyond, signal);
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
}

/** Asks again where the server is busy or away. */
async function untilTaken(texts, beyond, signal) {
  for (;;) {
    try {
      show(texts, texts.length ? await score(texts, signal) : [], beyond);
      return say($('texts-alert'), '');
    } catch (error) {
      if (isAbort(error)) throw error;
      const seconds = error instanceof Away ? 3 : error.retryAfter;
      if (!(error instanceof Away || error instanceof Refused)) throw error;
      if (error.status === 401) return say($('texts-alert'), 'The server asks for a token: see above.');
      say($('texts-alert'), seconds === undefined ? error.message : `${error.message} Trying again.`);
      if (seconds === undefined) return;
      await pause(Math.max(seconds, 0.5), signal);
    }
  }
}

function show(texts, scores, beyond) {
  $('labels').replaceChildren(...scores.map((score, index) => line(texts[index], score)));
  $('labels-none').hidden = scores.length > 0;
  const counts = new Map();
  for (const { label } of scores) counts.set(label, (counts.get(label) ?? 0) + 1);
  const said = [...counts].map(([label, times]) => `${number(times)} ${label ?? 'without a label'}`).join(', ');
  const rest = beyond ? `; the ${count(beyond, 'line')} beyond are for a file` : '';
  announce($('texts-status'), scores.length ? `${count(scores.length, 'text')}: ${said}${rest}` : '');
}

/** A text with its label. */
function line(text, score) {
  const quote = make('p', { className: 'quote', title: text.slice(0, 1000) }, text.slice(0, 300));
  if (score.label === null || score.label === undefined) {
    return make('li', {}, quote, make('p', { className: 'note' }, `No label: ${score.error ?? 'no score'}`));
  }
  const kind = Math.max(0, classes().indexOf(score.label));
  const head = make('p', { className: 'verdict' }, make('b', {}, score.label), bar(score.confidence, kind), make('span', { className: 'figure' }, percent(score.confidence)));
  const item = make('li', {}, head, quote);
  const notes = [runnersUp(score), score.truncated && `The model reads its beginning: ${number(score.tokens)} tokens are more than it takes.`];
  for (const note of notes) if (note) item.append(make('p', { className: 'note' }, note));
  return item;
}

/** The next likely classes, where there are more than two. */
function runnersUp({ label, probabilities }) {
  const names = classes();
  if (!probabilities || probabilities.length < 3 || names.length !== probabilities.length) return '';
  const others = names.map((name, index) => [name, probabilities[index]]).filter(([name]) => name !== label);
  others.sort((a, b) => b[1] - a[1]);
  return `then ${others.slice(0, RUNNERS_UP).map(([name, share]) => `${name} ${percent(share)}`).join(', ')}`;
}

/** Makes the field work. */
export function startTexts() {
  $('texts').addEventListener('input', () => scoreTexts());
  $('examples').addEventListener('click', () => {
    $('texts').value = EXAMPLES.join('\n');
    scoreTexts(0);
  });
  if ($('texts').value) scoreTexts(0);
}
