// The token: kept until the tab is closed, and sent to this server alone.
import { $, say } from './dom.js';

const KEY = 'textflight-token';
const listeners = [];
let token = stored();

// A browser may forbid storage; the token is then known until the page is loaded again.
function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

function keep(value) {
  token = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // It is in memory.
  }
}

/** Headers for a request. */
export const authorization = () => (token ? { authorization: `Bearer ${token}` } : {});

/** Calls `listener` once there is another token. */
export const onToken = listener => listeners.push(listener);

/** Asks for a token, since the server did. What it said of a wrong one is shown. */
export function askForToken(message) {
  if ($('access').hidden) {
    $('access').hidden = false;
  }
  say($('access-alert'), token ? `The server does not take this token: ${message}` : '');
}

/** The server took a request: nothing is asked for. */
export function tokenTaken() {
  $('access').hidden = true;
}

/** Makes the form work. */
export function startToken() {
  $('access').addEventListener('submit', event => {
    event.preventDefault();
    keep($('token').value.trim());
    $('token').value = '';
    listeners.forEach(listener => listener());
  });
}
