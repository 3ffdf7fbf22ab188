//! What a run did, for people: below the closing line on a terminal.

mod bins;
mod terminal;

pub use self::terminal::Details;

#[cfg(test)]
mod testing;
