//! Every setting on both roads, and pieces against the whole.

mod pieces;
mod settings;
