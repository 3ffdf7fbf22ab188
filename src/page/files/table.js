// A file from its choice to its download: sent once, scored once.
import { $, announce, bytes, count, make, number, say } from './dom.js';
import { FORMATS, NoTable, columns, likely, open, scoredName } from './formats.js';
import { Away, Refused, ask, isAbort, pause, send } from './server.js';
import { showStatistics } from './statistics.js';

/** Between two looks at what a running request has come to, in seconds. */
const EVERY = 0.4;

/** The choice of a column that is not listed. */
const OTHER = '\n';

let table;
let chosen;
let running;
let result;

/** Takes a file in: what it is, and which columns it has. */
export async function choose(file) {
  running?.abort();
  running = undefined;
  table = undefined;
  chosen = file;
  forget();
  busy(false);
  $('choices').hidden = true;
  announce($('file-name'), `${file.name}, ${bytes(file.size)}`);
  try {
    const opened = await open(file);
    const [known, trouble] = await names(opened);
    // Another may have been chosen since.
    if (chosen !== file) return;
    offer(opened, known);
    say($('table-alert'), trouble);
  } catch (error) {
    if (!(error instanceof NoTable)) throw error;
    if (chosen === file) say($('table-alert'), error.message);
  }
}

/** The columns that can be listed, or what the server says against a table, of which a name may be typed all the same. */
async function names(opened) {
  try {
    return [await columns(opened), ''];
  } catch (error) {
    if (error instanceof Refused || error instanceof Away) return [[], error.message];
    throw error;
  }
}

function offer(opened, known) {
  table = opened;
  const options = known.map(name => make('option', { value: name }, name || '(without a name)'));
  $('column').replaceChildren(...options, make('option', { value: OTHER }, 'Another, by its name'));
  if (known.length) $('column').value = likely(known);
  showOther();
  const kinds = [opened.format, ...Object.keys(FORMATS).filter(format => format !== opened.format)];
  $('answer').replaceChildren(...kinds.map(format => make('option', { value: format }, FORMATS[format].title)));
  $('choices').hidden = false;
}

function showOther() {
  $('column-other').hidden = $('column').value !== OTHER;
}

/** Forgets the last result, and what was said of it. */
function forget() {
  if (result) URL.revokeObjectURL(result);
  result = undefined;
  $('download').removeAttribute('href');
  $('download-line').hidden = true;
  $('statistics').hidden = true;
  $('progress').hidden = true;
  say($('table-alert'), '');
  announce($('table-status'), '');
}

/** What is asked for, as the query of `POST /score`. */
function query() {
  const typed = $('column').value === OTHER ? $('column-name').value : $('column').value;
  const asked = new URLSearchParams();
  if (typed) asked.set('text', typed);
  for (const name of ['label', 'confidence']) {
    const wanted = $(`${name}-column`).value.trim();
    if (wanted && wanted !== name) asked.set(`${name}_column`, wanted);
  }
  if ($('probabilities').checked) asked.set('probabilities', 'true');
  if ($('lenient').checked) asked.set('on_error', 'null');
  return asked;
}

/** A name that nobody guesses. */
const newName = () => [...crypto.getRandomValues(new Uint32Array(4))].map(part => part.toString(36)).join('-');

async function score() {
  running?.abort();
  const own = new AbortController();
  running = own;
  forget();
  busy(true);
  const job = { table, answer: $('answer').value, query: query(), signal: own.signal, began: performance.now(), rows: 0 };
  try {
    finish(job, await untilTaken(job));
  } catch (error) {
    if (own.signal.aborted && running !== own) return;
    fail(job, error);
  }
  busy(false);
}

function busy(is) {
  $('score').disabled = is;
  $('cancel').hidden = !is;
  $('progress').hidden = !is;
}

/** Sends the file; again, where the server says when. */
async function untilTaken(job) {
  for (;;) {
    try {
      return await once(job);
    } catch (error) {
      if (!(error instanceof Refused) || error.retryAfter === undefined) throw error;
      say($('table-alert'), `${error.message} Trying again.`);
      await pause(Math.max(error.retryAfter, 0.5), job.signal);
      say($('table-alert'), '');
    }
  }
}

/** Sends the file once, and follows what it comes to. */
async function once(job) {
  Object.assign(job, { name: newName(), sent: 0, received: 0, account: undefined });
  const over = new AbortController();
  const following = follow(job, over.signal);
  let isRefused = false;
  try {
    return await send(`score?${job.query}`, {
      headers: { 'content-type': FORMATS[job.table.format].media, accept: FORMATS[job.answer].media, 'x-textflight-account': job.name },
      body: job.table.body,
      signal: job.signal,
      onSent: sent => showProgress(job, { sent }),
      onReceived: received => showProgress(job, { received }),
    });
  } catch (error) {
    isRefused = error instanceof Refused;
    throw error;
  } finally {
    over.abort();
    await following;
    if (!job.signal.aborted && !isRefused) await look(job);
  }
}

/** Looks at the account while the request runs. */
async function follow(job, signal) {
  try {
    do await pause(EVERY, signal);
    while (await look(job));
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
}

/** Whether there is an account. Another server behind the same address knows nothing of it, and nothing is shown then. */
async function look(job) {
  try {
    job.account = await (await ask(`score/accounts/${job.name}`)).json();
  } catch (error) {
    if (error instanceof Away) return true;
    if (error instanceof Refused) return false;
    throw error;
  }
  if (!job.signal.aborted) {
    showStatistics(job.account);
    showProgress(job, {});
  }
  return true;
}

function showProgress(job, news) {
  Object.assign(job, news);
  const { account, sent, received } = job;
  const size = job.table.body.size;
  const rows = account?.rows ?? 0;
  const isSent = sent >= size;
  const what = received ? `${bytes(received)} received` : isSent ? 'Scoring' : `${bytes(sent)} of ${bytes(size)} sent`;
  const scored = account?.of ? `${number(rows)} of ${count(account.of, 'row')} scored` : `${count(rows, 'row')} scored`;
  $('progress-text').textContent = `${what} · ${scored}${speed(job, rows)}`;
  const part = !isSent ? sent / size : account?.of ? rows / account.of : undefined;
  if (part === undefined) $('progress-bar').removeAttribute('value');
  else $('progress-bar').value = part;
}

function speed(job, rows) {
  const seconds = (performance.now() - job.began) / 1000;
  return rows && seconds > 0.5 ? ` · ${number(rows / seconds)} rows a second` : '';
}

function finish(job, blob) {
  const { account, table: { file } } = job;
  result = URL.createObjectURL(blob);
  const name = scoredName(file.name, job.answer);
  Object.assign($('download'), { href: result, download: name, textContent: `Download ${name}` });
  $('download-size').textContent = bytes(blob.size);
  $('download-line').hidden = false;
  announce($('table-status'), account ? outcome(job, account) : 'Scored.');
}

/** What became of the rows, in a line. */
function outcome({ began }, { rows, nulls, errors, truncated }) {
  const seconds = (performance.now() - began) / 1000;
  const parts = [`${count(rows, 'row')} scored in ${seconds < 10 ? seconds.toFixed(1) : number(seconds)} s`];
  if (nulls) parts.push(`${number(nulls)} without a text`);
  if (errors) parts.push(`${number(errors)} that could not be scored`);
  if (truncated) parts.push(`${number(truncated)} read in part, being too long for the model`);
  return parts.join(', ');
}

function fail(job, error) {
  const rows = job.account?.rows ?? 0;
  if (isAbort(error)) return announce($('table-status'), `Cancelled after ${count(rows, 'row')}.`);
  if (!(error instanceof Refused || error instanceof Away)) throw error;
  // An answer that has begun can only break off; the account says why.
  const why = error instanceof Away ? job.account?.failure : undefined;
  say($('table-alert'), why ? `${error.message} ${why}` : error.message);
}

/** Makes the form work. */
export function startTable() {
  const drop = $('drop');
  $('file').addEventListener('change', () => {
    const [file] = $('file').files;
    // The same one may be chosen again, once it was mended.
    $('file').value = '';
    if (file) choose(file);
  });
  $('column').addEventListener('change', showOther);
  $('table').addEventListener('submit', event => {
    event.preventDefault();
    if (table) score();
  });
  $('cancel').addEventListener('click', () => running?.abort());
  for (const kind of ['dragenter', 'dragover', 'dragleave', 'drop']) {
    document.addEventListener(kind, event => {
      // A text that is dragged is for the field.
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      drop.classList.toggle('over', kind === 'dragenter' || kind === 'dragover');
    });
  }
  document.addEventListener('drop', event => {
    const [file] = event.dataTransfer?.files ?? [];
    if (file) choose(file);
  });
}
