//! A long text, a piece at a time: ids only where truncation keeps them, and a count of all the others.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use tokenizers::Tokenizer;
use tokenizers::utils::truncation::TruncationDirection;

use super::characters::Effect;
use super::cut::Cuts;
use super::{Pause, failed};
use crate::{Error, Result};

/// Bytes of a piece: some milliseconds' work at most.
const PIECE: usize = 4 << 10;

/// Bytes of a run without a safe cut beyond which we look for what it comes to.
const LONGEST_PIECE: usize = 2 * PIECE;

/// Bytes up to which a text, or a part of it, that cannot be cut is tokenized at once.
const WHOLE: usize = 1 << 20;

/// Words whose count is remembered.
const REMEMBERED: usize = 1 << 16;

/// Words that one piece may teach: to look at a word alone costs as much as many in their piece.
const LESSONS: usize = 32;

/// Bytes of a word that is worth remembering. A longer one is first looked at for what it comes to.
const LONG_WORD: usize = 512;

/// The ids at the end that truncation keeps, `room` at least if there are so many, and the number of all.
///
/// # Errors
/// [`Error::TooLarge`] when a long part of the text cannot be cut, and [`Error::Failed`] when the tokenizer fails.
pub fn encode(
    tokenizer: &Tokenizer,
    cuts: Option<&Cuts>,
    text: &str,
    (room, side): (usize, TruncationDirection),
    pause: Pause<'_>,
) -> Result<(Vec<u32>, usize)> {
    let Some(cuts) = cuts else {
        let ids = whole(tokenizer, text)?;
        let tokens = ids.len();
        return Ok((ids, tokens));
    };
    let mut counter = Counter { tokenizer, cuts, known: HashMap::new() };
    let mut kept = Kept { pieces: VecDeque::new(), tokens: 0, room, side };
    let mut total = 0;
    let mut pieces = Pieces { tokenizer, cuts, rest: text, pause };
    while let Some(piece) = pieces.next_piece()? {
        pause();
        let tokens = counter.count(&piece)?;
        total += tokens;
        kept.take(piece, tokens);
    }
    Ok((kept.ids(tokenizer)?, total))
}

fn whole(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    if text.len() > WHOLE {
        return Err(Error::TooLarge(format!(
            "{} bytes of text that this model's tokenizer cannot cut into words; at most {WHOLE} are tokenized at once",
            text.len()
        )));
    }
    Ok(tokenizer.encode_fast(text, false).map_err(failed)?.get_ids().to_vec())
}

/// The pieces that truncation leaves something of.
struct Kept<'a> {
    pieces: VecDeque<(Cow<'a, str>, usize)>,
    /// In the pieces.
    tokens: usize,
    room: usize,
    side: TruncationDirection,
}

impl<'a> Kept<'a> {
    fn take(&mut self, piece: Cow<'a, str>, tokens: usize) {
        let is_full = self.tokens >= self.room && matches!(self.side, TruncationDirection::Right);
        if tokens == 0 || is_full {
            return;
        }
        self.pieces.push_back((piece, tokens));
        self.tokens += tokens;
        if matches!(self.side, TruncationDirection::Left) {
            while let Some((_, first)) = self.pieces.front()
                && self.tokens - first >= self.room
            {
                self.tokens -= first;
                self.pieces.pop_front();
            }
        }
    }

    fn ids(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for (piece, _) in &self.pieces {
            ids.extend_from_slice(tokenizer.encode_fast(piece.as_ref(), false).map_err(failed)?.get_ids());
        }
        Ok(ids)
    }
}

/// Counts tokens word by word, as most words come again.
struct Counter<'a> {
    tokenizer: &'a Tokenizer,
    cuts: &'a Cuts,
    known: HashMap<String, usize>,
}

impl Counter<'_> {
    /// The tokens of a piece, unless it has too many new words: then they are counted with all others in it.
    fn count(&mut self, piece: &str) -> Result<usize> {
        let (mut total, mut start, mut before, mut lessons) = (0, 0, None, 0);
        let ends = piece.char_indices().map(|(at, after)| (at, Some(after))).chain([(piece.len(), None)]);
        for (at, after) in ends {
            let is_end = match (before, after) {
                (Some(before), Some(after)) => self.cuts.is_safe(piece, at, before, after),
                (_, after) => after.is_none(),
            };
            if is_end {
                match self.count_word(&piece[start..at], &mut lessons)? {
                    Some(tokens) => total += tokens,
                    None => return self.count_anew(piece),
                }
                start = at;
            }
            before = after;
        }
        Ok(total)
    }

    fn count_word(&mut self, word: &str, lessons: &mut usize) -> Result<Option<usize>> {
        if word == " " {
            return Ok(Some(0));
        }
        if word.len() > LONG_WORD {
            let short = stand_in(self.cuts, word);
            return self.count_anew(short.as_deref().unwrap_or(word)).map(Some);
        }
        if let Some(tokens) = self.known.get(word) {
            return Ok(Some(*tokens));
        }
        if *lessons == LESSONS {
            return Ok(None);
        }
        *lessons += 1;
        let tokens = self.count_anew(word)?;
        if self.known.len() == REMEMBERED {
            self.known.clear();
        }
        self.known.insert(word.to_owned(), tokens);
        Ok(Some(tokens))
    }

    fn count_anew(&self, text: &str) -> Result<usize> {
        Ok(self.tokenizer.encode_fast(text, false).map_err(failed)?.len())
    }
}

/// A text on its way into pieces.
struct Pieces<'a> {
    tokenizer: &'a Tokenizer,
    cuts: &'a Cuts,
    rest: &'a str,
    pause: Pause<'a>,
}

impl<'a> Pieces<'a> {
    /// The next piece, or what stands for it.
    fn next_piece(&mut self) -> Result<Option<Cow<'a, str>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (last, next) = self.cuts_around(PIECE);
        if next <= LONGEST_PIECE {
            return Ok(Some(Cow::Borrowed(self.cut_off(next))));
        }
        if last > 0 {
            return Ok(Some(Cow::Borrowed(self.cut_off(last))));
        }
        let run = self.cut_off(next);
        self.shorten(run).map(Some)
    }

    fn cut_off(&mut self, at: usize) -> &'a str {
        let (piece, rest) = self.rest.split_at(at);
        self.rest = rest;
        piece
    }

    /// The last safe cut before the byte `wanted`, 0 if there is none, and the first one from there on, which may be the
    /// end.
    fn cuts_around(&self, wanted: usize) -> (usize, usize) {
        let (mut last, mut before) = (0, None);
        for (count, (at, after)) in self.rest.char_indices().enumerate() {
            if count % (16 * PIECE) == 16 * PIECE - 1 {
                (self.pause)();
            }
            if before.is_some_and(|before| self.cuts.is_safe(self.rest, at, before, after)) {
                if at >= wanted {
                    return (last, at);
                }
                last = at;
            }
            before = Some(after);
        }
        (last, self.rest.len())
    }

    /// What stands for a run in which there is no safe cut.
    fn shorten(&self, run: &'a str) -> Result<Cow<'a, str>> {
        match stand_in(self.cuts, run) {
            Some(short) => Ok(Cow::Owned(short)),
            None => whole(self.tokenizer, run).map(|_| Cow::Borrowed(run)),
        }
    }
}

/// A short text with the tokens of a run of letters, if we know of one: what vanishes is left out, and of a word that is
/// too long to be known a beginning will do.
fn stand_in(cuts: &Cuts, run: &str) -> Option<String> {
    let (mut letters, mut count) = (String::new(), 0);
    for character in run.chars() {
        match cuts.effect(character) {
            Effect::Separates => return None,
            Effect::Vanishes => {}
            Effect::Joins => {
                count += 1;
                if count <= cuts.longest_word + 1 {
                    letters.push(character);
                }
            }
        }
    }
    let is_known = !cuts.has_token(run) && !cuts.has_token(&letters);
    (is_known && (count > cuts.longest_word || cuts.keeps_order(&letters))).then_some(letters)
}
