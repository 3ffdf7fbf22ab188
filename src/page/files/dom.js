// Elements of the page, found and made. Text is set as text: nothing that a server or a file says becomes markup.

/** The element of this id. */
export const $ = id => document.getElementById(id);

/** A new element with properties (`className`, `hidden`, …) and children: elements, or texts. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A new element of SVG with attributes. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Shows `text` in an element that is hidden without one. */
export function say(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

/** Sets a text that is announced: the same again is no news. */
export function announce(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A bar as wide as `share`, of a class's colour. What it shows stands beside it as text. */
export function bar(share, kind) {
  const filled = make('span', { className: `fill class-${kind % 6}` });
  filled.style.width = `${(100 * share).toFixed(2)}%`;
  const track = make('span', { className: 'bar' }, filled);
  track.setAttribute('aria-hidden', 'true');
  return track;
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** A number as people read it: 12,345. */
export const number = value => whole.format(value);

/** `3 rows`, `1 row`. */
export const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? '' : 's'}`;

/** A share of one: 98.3%. All of it is 100%, and nearly all is not. */
export function percent(share) {
  const shown = (100 * share).toFixed(1);
  return shown === '100.0' ? (share < 1 ? '> 99.9%' : '100%') : `${shown}%`;
}

/** Bytes: 1.2 MB. */
export function bytes(value) {
  const units = ['bytes', 'kB', 'MB', 'GB'];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : number(value)} ${units[unit]}`;
}
