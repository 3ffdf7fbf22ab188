//! `cargo bench --bench team`: one forward of few texts of the usual length, by one thread and by several, in each precision.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench may stop at the first surprise, and prints its table"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use textflight::check::{Size, write_checkpoint};
use textflight::classifier::kernels::Team;
use textflight::classifier::{
    Checkpoint, Classifier, ClassifierOptions, DTypeChoice, DeviceChoice, KernelChoice, ModelSource, Precision,
};

const TOKENS: u32 = 25;
const FORWARDS: usize = 60;

fn load(folder: &Path, precision: Precision) -> Classifier {
    let checkpoint = Checkpoint::open(&ModelSource::Folder(folder.to_owned())).expect("a checkpoint");
    let options = ClassifierOptions {
        device: DeviceChoice::Cpu,
        cuda_libraries: None,
        kernels: KernelChoice::Auto,
        dtype: DTypeChoice::Exactly(precision),
        max_length: 128,
    };
    Classifier::load(&checkpoint, &options).expect("a classifier")
}

/// Milliseconds of a forward: a tenth are faster, half are.
fn times(classifier: &Classifier, team: &Team, texts: u32) -> [f64; 2] {
    let sequence = |text| (0..TOKENS).map(|token| 1000 + (text * TOKENS + token) % 5000).collect();
    let sequences: Vec<Vec<u32>> = (0..texts).map(sequence).collect();
    let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let forward = |_| {
        let began = Instant::now();
        black_box(classifier.score_batch(&sequences, team, &|| ()).is_ok());
        began.elapsed().as_secs_f64() * 1e3
    };
    let mut times: Vec<f64> = (0..FORWARDS).map(forward).collect();
    times.sort_by(f64::total_cmp);
    [times[FORWARDS / 10], times[FORWARDS / 2]]
}

/// With so many threads beside the one that runs the forward.
fn with_members(classifier: &Classifier, members: usize, texts: u32) -> [f64; 2] {
    let (team, handle) = Team::open();
    std::thread::scope(|scope| {
        for _ in 0..members {
            scope.spawn(|| handle.assist(|| false));
        }
        let times = times(classifier, &team, texts);
        drop(team);
        times
    })
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_checkpoint(folder.path(), Size::Base).expect("a writable folder");
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sst2-mini/vocab.txt");
    std::fs::copy(bundled, folder.path().join("vocab.txt")).expect("the bundled vocabulary");
    let cores = std::thread::available_parallelism().expect("a processor").get();
    println!("ms a forward of texts of {TOKENS} tokens: the fastest tenth, and half");
    for precision in [Precision::Float32, Precision::Bfloat16, Precision::Int8] {
        let classifier = load(folder.path(), precision);
        for texts in [1, 8] {
            for threads in [1, cores] {
                let [fast, half] = with_members(&classifier, threads - 1, texts);
                println!("{precision}, {texts} texts, {threads} threads: {fast:.2} {half:.2}");
            }
        }
    }
}
