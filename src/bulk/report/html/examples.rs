//! Texts that the model was sure or unsure of.

use super::markup::{Escaped, card};
use crate::bulk::summary::Summary;
use crate::tally::Example;

/// The least and the most certain.
pub fn examples(summary: &Summary) -> String {
    let examples = &summary.examples;
    if examples.least_certain.is_empty() {
        return String::new();
    }
    card("", "Least certain", &list(&examples.least_certain)) + &card("", "Most certain", &list(&examples.most_certain))
}

fn list(examples: &[Example]) -> String {
    format!("<ol class=\"examples\">\n{}</ol>\n", examples.iter().map(item).collect::<String>())
}

fn item(example: &Example) -> String {
    let Example { text, is_cut, label, confidence, file, row } = example;
    let more = if *is_cut { "…" } else { "" };
    let text = if text.trim().is_empty() { "<i>(blank)</i>".to_owned() } else { format!("{}{more}", Escaped(text)) };
    // A text of any direction has a block of its own, and so ends what it may have begun.
    format!(
        "<li><p class=\"meta\"><b>{}</b> <span class=\"label\"><bdi>{}</bdi></span> <span>row {row} of {}</span></p>\
         <p class=\"text\" dir=\"auto\">{text}</p></li>\n",
        probability(*confidence),
        Escaped(label),
        Escaped(file)
    )
}

/// Nothing is called 1 that is not.
fn probability(confidence: f32) -> String {
    if confidence > 0.99995 && confidence < 1.0 { "&gt;0.9999".to_owned() } else { format!("{confidence:.4}") }
}
