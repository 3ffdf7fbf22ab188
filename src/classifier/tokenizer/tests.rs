//! Every setting on both roads, pieces against the whole, and our own words against the crate's.

mod pieces;
mod settings;
mod words;
