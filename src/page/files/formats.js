// What a file is, as what it is sent, and which columns it has.
import { ask } from './server.js';

/** Formats of tables: the media type by which `POST /score` knows them, and how files of them are called. */
export const FORMATS = {
  csv: { title: 'CSV', media: 'text/csv', extensions: ['csv'] },
  tsv: { title: 'TSV', media: 'text/tab-separated-values', extensions: ['tsv', 'tab'] },
  jsonl: { title: 'JSON lines', media: 'application/x-ndjson', extensions: ['jsonl', 'ndjson', 'json'] },
  parquet: { title: 'Parquet', media: 'application/vnd.apache.parquet', extensions: ['parquet', 'pq', 'parq'] },
  arrow: { title: 'Arrow stream', media: 'application/vnd.apache.arrow.stream', extensions: ['arrows', 'arrow', 'ipc', 'feather'] },
};

/** A file that cannot be taken, and why. */
export class NoTable extends Error {}

/** Names that a column of texts often has, the likeliest first. */
const LIKELY = ['text', 'texts', 'review', 'body', 'content', 'comment', 'message', 'description', 'sentence', 'title'];

/** How much of a file is looked at, in bytes. */
const BEGINNING = 1 << 20;

const latin = bytes => String.fromCharCode(...bytes);

/** What a file is: its format, and the part of it that is sent. */
export async function open(file) {
  if (!file.size) throw new NoTable(`${file.name} is empty.`);
  const first = new Uint8Array(await file.slice(0, BEGINNING).arrayBuffer());
  const magic = latin(first.slice(0, 6));
  if (magic.startsWith('PAR1')) return { file, format: 'parquet', body: file };
  if (magic === 'ARROW1') return { file, format: 'arrow', body: await streamOf(file) };
  if (magic.startsWith('\xff\xff\xff\xff')) return { file, format: 'arrow', body: file };
  if (magic.startsWith('\x1f\x8b') || magic.startsWith('PK') || magic.startsWith('\x28\xb5\x2f\xfd')) {
    throw new NoTable(`${file.name} is packed: unpack it first.`);
  }
  const beginning = new TextDecoder().decode(first);
  return { file, format: lines(file, beginning), body: file };
}

/** An Arrow file has a stream between its first eight bytes and its footer. */
async function streamOf(file) {
  const end = new DataView(await file.slice(-10).arrayBuffer());
  const footer = end.byteLength === 10 ? end.getInt32(0, true) : -1;
  if (footer < 0 || footer + 18 > file.size) throw new NoTable(`${file.name} begins as an Arrow file and does not end as one.`);
  return file.slice(8, file.size - 10 - footer);
}

/** Which format of lines a file has: by its name, or by how it begins. */
function lines(file, beginning) {
  const extension = file.name.split('.').pop().toLowerCase();
  const named = Object.keys(FORMATS).find(format => FORMATS[format].extensions.includes(extension));
  const start = beginning.trimStart();
  if (start.startsWith('[') && named !== 'csv' && named !== 'tsv') {
    throw new NoTable(`${file.name} begins with a list: JSON lines have an object on each line.`);
  }
  if (named === 'parquet' || named === 'arrow') throw new NoTable(`${file.name} is called ${FORMATS[named].title} and is none.`);
  if (named) return named;
  if (start.startsWith('{')) return 'jsonl';
  const [names] = start.split('\n', 1);
  return names.includes('\t') ? 'tsv' : 'csv';
}

/** The names of the columns that may be scored: the server says which there are, by a table's beginning, or its footer. */
export async function columns({ format, body }, signal) {
  const part = format === 'parquet' ? await footer(body) : body.slice(0, BEGINNING);
  const headers = { 'content-type': FORMATS[format].media };
  const answer = await ask('score/columns', { method: 'POST', headers, body: part, signal });
  const { columns: all, texts } = await answer.json();
  return texts.length ? texts : all;
}

/** A Parquet file without its rows: what it says of itself stands at its end. */
async function footer(file) {
  const end = new DataView(await file.slice(-8).arrayBuffer());
  const length = end.byteLength === 8 ? end.getUint32(0, true) : 0;
  return new Blob(['PAR1', file.slice(Math.max(0, file.size - 8 - length))]);
}

/** The one of these columns that most likely has texts. */
export function likely(names) {
  const lower = names.map(name => name.toLowerCase());
  const found = LIKELY.map(name => lower.indexOf(name)).find(index => index >= 0);
  return names[found ?? 0];
}

/** What a scored file is called. */
export function scoredName(name, format) {
  const stem = name.replace(/\.[^.]*$/, '') || 'table';
  return `${stem}.scored.${FORMATS[format].extensions[0]}`;
}
