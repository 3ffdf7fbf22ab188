//! What a run did, for people: below the closing line on a terminal, and as a page.

mod bins;
mod html;
mod page_file;
mod terminal;

pub use self::html::{Ran, ReportPage};
pub use self::page_file::PageFile;
pub use self::terminal::Details;

#[cfg(test)]
mod testing;
