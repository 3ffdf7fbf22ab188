// The page: its parts, and what they have to do with one another.
import { showSnippets } from './snippets.js';
import { lookNow, onAbout, startStatus } from './status.js';
import { startTable } from './table.js';
import { scoreTexts, startTexts } from './texts.js';
import { onToken, startToken } from './token.js';

startToken();
startTable();
startTexts();
onToken(() => {
  lookNow();
  scoreTexts(0);
});
onAbout(showSnippets);
startStatus();
