// The same from a program: snippets with this server's address, to be copied.
import { $, make } from './dom.js';

/** Where Flight clients find the server, by what it says of itself. */
export function flightAddress({ uri, scheme, host, port }) {
  return uri?.startsWith('grpc') ? uri : `${scheme}://${host ?? location.hostname}:${port}`;
}

/** A text between single quotes for a shell. */
const quoted = text => `'${text.replaceAll("'", "'\\''")}'`;

function curl({ asks_token: asksToken }) {
  const address = new URL('score?text=text', document.baseURI);
  const token = asksToken ? ` -H "authorization: Bearer $TEXTFLIGHT_TOKEN"` : '';
  return `curl --fail-with-body --data-binary @reviews.csv -H 'content-type: text/csv'${token} \\\n  ${quoted(address.href)} -o scored.csv`;
}

function python(about, { imports, frame }) {
  const token = about.asks_token ? ', token=os.environ["TEXTFLIGHT_TOKEN"]' : '';
  return `${about.asks_token ? 'import os\n' : ''}${imports}

df = ${frame}({"text": ["a lovely film", "so dull"]})
server = ${JSON.stringify(flightAddress(about.flight))}
print(textflight.score(df, "text", server=server${token}))`;
}

const PANDAS = { imports: 'import pandas as pd, textflight', frame: 'pd.DataFrame' };
const POLARS = { imports: 'import polars as pl, textflight', frame: 'pl.DataFrame' };

/** Shows all of them. */
export function showSnippets(about) {
  const all = [['curl', curl(about)], ['pandas', python(about, PANDAS)], ['polars', python(about, POLARS)]];
  $('snippets').replaceChildren(...all.map(([name, code]) => snippet(name, code)));
}

function snippet(name, code) {
  const copied = make('span', { className: 'quiet', role: 'status' });
  const button = make('button', { type: 'button' }, 'Copy');
  button.setAttribute('aria-label', `Copy the ${name} snippet`);
  button.addEventListener('click', async () => {
    copied.textContent = (await copy(code)) ? 'Copied' : 'Not copied: select it';
    setTimeout(() => { copied.textContent = ''; }, 3000);
  });
  const block = make('pre', { tabIndex: 0, id: `snippet-${name}` }, make('code', {}, code));
  block.setAttribute('role', 'region');
  block.setAttribute('aria-label', `${name} snippet`);
  return make('div', { className: 'snippet' }, make('div', { className: 'row between' }, make('h3', {}, name), make('span', {}, copied, ' ', button)), block);
}

/** Browsers give the clipboard to pages that came encrypted, or from this machine; all others have the older way. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make('textarea', { value: text });
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    return done;
  }
}
