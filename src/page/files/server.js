// Requests to this server, and what went wrong with them in words.
import { askForToken, authorization } from './token.js';

/** The server said no. `status` is that of HTTP, `retryAfter` in seconds where it said when to come again. */
export class Refused extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    Object.assign(this, { status, retryAfter });
  }
}

/** Nobody answered, or the answer broke off. */
export class Away extends Error {}

/** Whether `error` is of something that was given up on purpose. */
export const isAbort = error => error.name === 'AbortError';

/** Waits; rejects once `signal` says so. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      clearTimeout(timer);
      reject(new DOMException('given up', 'AbortError'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', giveUp);
      resolve();
    }, 1000 * seconds);
    signal.addEventListener('abort', giveUp);
    if (signal.aborted) giveUp();
  });
}

/** What an answer that is an error says. Cog's routes and tables have a word each for it. */
export function refusal(status, retryAfter, text) {
  let said = {};
  try {
    said = JSON.parse(text);
  } catch {
    // Somebody else answered, such as a proxy.
  }
  const detail = said.detail ?? said.error ?? `The server answered with status ${status}.`;
  const message = typeof detail === 'string' ? detail : JSON.stringify(detail);
  if (status === 401) askForToken(message);
  const seconds = Number.parseFloat(retryAfter);
  return new Refused(status, message, Number.isFinite(seconds) ? seconds : undefined);
}

/** An answer that is no error. */
export async function ask(path, { headers = {}, ...options } = {}) {
  let answer;
  try {
    answer = await fetch(path, { cache: 'no-store', credentials: 'same-origin', ...options, headers: { ...headers, ...authorization() } });
  } catch (error) {
    throw isAbort(error) ? error : new Away('The server does not answer.');
  }
  if (!answer.ok) throw refusal(answer.status, answer.headers.get('retry-after'), await answer.text());
  return answer;
}

/**
 * Sends `body` and keeps the answer as a blob, which the browser may keep on its disk. `onSent` hears of bytes on their way,
 * `onReceived` of those that came; fetch tells of the latter alone.
 */
export function send(path, { headers, body, signal, onSent, onReceived }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', path);
    request.responseType = 'blob';
    for (const [name, value] of Object.entries({ ...headers, ...authorization() })) request.setRequestHeader(name, value);
    request.upload.onprogress = event => onSent(event.loaded);
    request.onprogress = event => request.status === 200 && onReceived(event.loaded);
    request.onload = async () => {
      if (request.status === 200) return resolve(request.response);
      reject(refusal(request.status, request.getResponseHeader('retry-after'), await request.response.text()));
    };
    // An error leaves no status behind.
    let hasBegun = false;
    request.onreadystatechange = () => {
      hasBegun ||= request.readyState === XMLHttpRequest.HEADERS_RECEIVED && request.status > 0;
    };
    request.onerror = () => reject(new Away(hasBegun ? 'The answer broke off.' : 'The server does not answer.'));
    request.onabort = () => reject(new DOMException('given up', 'AbortError'));
    signal.addEventListener('abort', () => request.abort());
    request.send(body);
  });
}
