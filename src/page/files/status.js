// What serves, and how it does: asked for slowly, and not at all while nobody looks.
import { $, announce, number } from './dom.js';
import { Refused, ask } from './server.js';
import { tokenTaken } from './token.js';

/** Between two looks, in seconds; longer where nobody answers. */
const EVERY = 2;
const EVERY_AWAY = 5;

let about;
let before;
let timer;
let looking = false;
const listeners = [];

/** The names of the classes, in order; none until they are known. */
export const classes = () => about?.model?.labels ?? [];

/** Calls `listener` with what the server says of itself, once and whenever that changes. */
export const onAbout = listener => listeners.push(listener);

/** The sum of a metric over all its labels. */
export function total(page, name) {
  const values = page.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([^ \\n]+)`, 'gm'));
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
}

async function look() {
  clearTimeout(timer);
  if (looking || document.hidden) return;
  looking = true;
  let seconds = EVERY;
  try {
    await learn();
    await count();
  } catch (error) {
    seconds = EVERY_AWAY;
    before = undefined;
    const denied = error instanceof Refused && error.status === 401;
    // Until there is another token, the answer is the same.
    if (denied) seconds = undefined;
    state(denied ? 'waiting' : 'away', denied ? 'Asks for a token' : error instanceof Refused ? error.message : 'Does not answer');
  }
  looking = false;
  if (seconds) timer = setTimeout(look, 1000 * seconds);
}

/** What serves. A server that was started anew may serve another model. */
async function learn() {
  const said = await (await ask('about')).json();
  tokenTaken();
  const words = { serving: 'Ready', loading: 'Loads its model', stopping: 'Stops', dead: `Failed: ${said.cause}` };
  state(said.phase, words[said.phase] ?? said.phase);
  if (JSON.stringify(said) === JSON.stringify(about)) return;
  about = said;
  facts(said);
  listeners.forEach(listener => listener(said));
}

function facts({ model, textflight }) {
  const known = model
    ? [model.name, model.revision && `revision ${model.revision.slice(0, 12)}`, `on ${model.device} in ${model.dtype}`,
       model.kernels !== 'none' && `kernels ${model.kernels}`, `${model.labels.length} classes`, `${model.max_length} tokens a text`]
    : [];
  $('facts').textContent = [...known.filter(Boolean), `textflight ${textflight}`].join(' · ');
}

function state(kind, words) {
  $('state').className = `state ${kind}`;
  announce($('state'), words);
}

/** How it does. */
async function count() {
  const page = await (await ask('metrics', { headers: { accept: 'text/plain' } })).text();
  const now = { at: performance.now(), rows: total(page, 'textflight_rows_total') };
  // A counter that went back is that of another process.
  if (before && now.rows >= before.rows) $('rate').textContent = number((1000 * (now.rows - before.rows)) / (now.at - before.at));
  before = now;
  $('scored').textContent = number(now.rows);
  $('queue').textContent = number(total(page, 'textflight_queue_rows'));
  // This one is among them.
  $('requests').textContent = number(Math.max(0, total(page, 'textflight_requests_open') - 1));
}

/** Looks now, and from now on. */
export function startStatus() {
  document.addEventListener('visibilitychange', () => {
    before = undefined;
    look();
  });
  return look();
}

/** Looks at once: something has changed. */
export const lookNow = look;
