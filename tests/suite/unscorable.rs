//! A checkpoint with a bad row: one word whose embedding is no number. Whoever sends it hears which row of the table it is in,
//! and nobody else hears anything.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, StringViewArray};
use candle_core::{Device, Tensor, safetensors};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use tempfile::TempDir;
use textflight::Error;
use textflight::classifier::kernels::Team;
use textflight::cog::Predictor;
use textflight::engine::{Engine, Lane};
use textflight::table::ScoreOptions;
use tonic::Code;

use crate::cog::client::{body, post, serve};
use crate::engines::{over, score_file};
use crate::flight::client::{LIMITS, batch, connect, failure, messages};
use crate::support::{BF16, F32, INT8, load, load_in, repository};

/// The word.
const BAD: &str = "dull";

/// A copy of the bundled checkpoint in which that word's embedding is NaN.
fn checkpoint() -> TempDir {
    let (from, folder) = (repository("data/sst2-mini"), tempfile::tempdir().unwrap());
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"] {
        std::fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    let id = load(&from, 128).unwrap().encode(BAD).unwrap().ids[1] as usize;
    let mut tensors = safetensors::load(from.join("model.safetensors"), &Device::Cpu).unwrap();
    let (_, words) = tensors.iter_mut().find(|(name, _)| name.ends_with("word_embeddings.weight")).unwrap();
    let (rows, width) = words.dims2().unwrap();
    let mut values: Vec<f32> =
        words.to_dtype(candle_core::DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    values[id * width..(id + 1) * width].fill(f32::NAN);
    *words = Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap();
    safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
    folder
}

fn engine(folder: &Path) -> Engine {
    over(load(folder, 128).unwrap())
}

const NAMED: &str = "row 4 (counted from 0) cannot be scored: the model gave [NaN, NaN], which is no score";

#[test]
fn a_sequence_without_a_score_leaves_the_others_theirs() {
    let folder = checkpoint();
    for dtype in [F32, BF16, INT8] {
        let (whole, broken) =
            (load_in(&repository("data/sst2-mini"), 128, dtype).unwrap(), load_in(folder.path(), 128, dtype).unwrap());
        let texts = ["a lovely film", "a dull film", "it 's fine , i suppose", "dull"];
        let ids: Vec<Vec<u32>> = texts.iter().map(|text| whole.encode(text).unwrap().ids).collect();
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let expected = whole.score(&ids).unwrap();
        let found = broken.score_batch(&ids, &Team::alone(), &|| ()).unwrap();
        for (row, found) in found.iter().enumerate() {
            match found {
                Ok(score) => assert!(row % 2 == 0 && *score == expected[row], "{dtype:?}: row {row}"),
                Err(error) => assert!(row % 2 == 1 && error.to_string().contains("no score"), "{dtype:?}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn the_jobs_of_other_clients_do_not_fail_with_it() {
    let folder = checkpoint();
    let engine = engine(folder.path());
    // More than one window, so that they share batches whatever comes first.
    let column = |word: &'static str| -> StringViewArray {
        (0..200).map(|row| Some(format!("a {} film number {row}", if row == 150 { word } else { "good" }))).collect()
    };
    let (bad, good, asked) = tokio::join!(
        engine.score(column(BAD), Lane::Bulk),
        engine.score(column("fine"), Lane::Bulk),
        engine.score(column("fine"), Lane::Interactive),
    );
    assert!(matches!(bad, Err(Error::Unscorable { row: 150, .. })));
    assert_eq!((good.unwrap().len(), asked.unwrap().len()), (200, 200));
}

#[tokio::test]
async fn an_exchange_counts_over_all_its_batches() {
    let folder = checkpoint();
    let mut client = connect(engine(folder.path()), LIMITS).await;
    let batches = vec![batch(&[Some("a"), None, Some("b")]), batch(&[Some("c"), Some("a dull film"), Some("dull")])];
    let status = failure(&mut client, messages("", batches)).await;
    assert_eq!((status.code(), status.message()), (Code::Internal, NAMED));
}

#[tokio::test]
async fn a_file_counts_over_all_its_row_groups() {
    let folder = checkpoint();
    let texts: ArrayRef =
        Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("c"), Some(BAD), Some(BAD)]));
    let rows = RecordBatch::try_from_iter_with_nullable([("text", texts, true)]).unwrap();
    let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&input).unwrap(), rows.schema(), None).unwrap();
    for start in [0, 3] {
        writer.write(&rows.slice(start, 3)).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    let scored = score_file(engine(folder.path()), &input, &output, ScoreOptions::default());
    let error = scored.await.unwrap_err();
    assert_eq!(error.to_string(), format!("{}: {NAMED}", input.display()));
    assert!(!output.exists());
}

#[tokio::test]
async fn a_list_counts_its_texts() {
    let folder = checkpoint();
    let engine = engine(folder.path());
    let texts = json!(["a", "", null, "b", BAD, BAD]).to_string();
    let error = Error::from(Predictor::new(engine.clone()).predict(&texts).await.unwrap_err());
    assert_eq!(error.to_string(), NAMED);
    let answer = post(&serve(engine), body(&texts)).await;
    assert_eq!(answer.status, 200);
    let prediction = answer.json();
    assert_eq!(prediction["status"], "failed");
    assert!(prediction["error"].as_str().unwrap().ends_with(NAMED), "{prediction}");
}
