//! The whole of a CUDA build: on the first GPU, or, where `TEXTFLIGHT_CUDA_LIBRARIES` names the emulator of `tests/cuda`, on
//! that. What needs a device that fails is tested on the emulator alone.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringViewArray};
use parquet::arrow::ArrowWriter;
use textflight::classifier::{
    Classifier, ClassifierOptions, DTypeChoice, DeviceChoice, KernelChoice, Precision, Score,
};
use textflight::engine::{Engine, EngineLimits, EngineOptions, Lane, TokenBudget};

use crate::golden::equal_transformers;
use crate::support::{BF16, F32, binary, fixture, json, load, load_with, repository};

const F16: DTypeChoice = DTypeChoice::Exactly(Precision::Float16);

fn libraries() -> Option<PathBuf> {
    std::env::var_os("TEXTFLIGHT_CUDA_LIBRARIES").map(PathBuf::from)
}

/// The emulator's folder, if the tests run on it.
#[expect(clippy::print_stdout, reason = "a test that does not run says so")]
fn emulator() -> Option<PathBuf> {
    let found = libraries().filter(|folder| folder.join("libcuda-emulator.so").exists());
    if found.is_none() {
        println!("SKIPPED: this needs the emulator of tests/cuda, named by TEXTFLIGHT_CUDA_LIBRARIES");
    }
    found
}

fn on_gpu(max_length: usize, dtype: DTypeChoice) -> ClassifierOptions {
    ClassifierOptions {
        device: DeviceChoice::Cuda(vec![0]),
        cuda_libraries: libraries(),
        kernels: KernelChoice::Auto,
        dtype,
        max_length,
    }
}

#[test]
fn odd_configurations_equal_transformers() {
    equal_transformers(|folder, max_length| load_with(folder, &on_gpu(max_length, F32)).unwrap());
}

/// Token sequences of the first reviews of SST-2 dev.
fn reviews(classifier: &Classifier, count: usize) -> Vec<Vec<u32>> {
    let texts: Vec<serde_json::Value> = json(&fixture("sst2_dev.json"));
    texts.iter().take(count).map(|case| classifier.encode(case["text"].as_str().unwrap()).unwrap().ids).collect()
}

fn scores(classifier: &Classifier, ids: &[Vec<u32>], batch: usize) -> Vec<Score> {
    let batches = ids.chunks(batch).map(|ids| ids.iter().map(Vec::as_slice).collect::<Vec<_>>());
    batches.flat_map(|batch| classifier.score(&batch).unwrap()).collect()
}

#[test]
fn each_precision_is_close_to_the_cpu() {
    let folder = repository("data/sst2-mini");
    let cpu = load(&folder, 128).unwrap();
    let ids = reviews(&cpu, 200);
    let expected = scores(&cpu, &ids, 32);
    for (dtype, flips, tolerance) in [(F32, 0, 1e-5), (F16, 1, 5e-3), (BF16, 2, 4e-2)] {
        let gpu = load_with(&folder, &on_gpu(128, dtype)).unwrap();
        assert_eq!(gpu.info().device, "cuda:0");
        let found = scores(&gpu, &ids, 32);
        let pairs = || expected.iter().zip(&found);
        let flipped = pairs().filter(|(a, b)| a.label != b.label).count();
        let worst = pairs().map(|(a, b)| (a.probabilities[0] - b.probabilities[0]).abs()).fold(0.0, f32::max);
        assert!(flipped <= flips && worst < tolerance, "{dtype:?}: {flipped} labels, {worst}");
        assert!(dtype == F32 || worst > 0.0, "{dtype:?} is not what was computed in");
    }
}

#[test]
fn a_batch_that_cannot_run_says_why_and_leaves_the_others_alone() {
    let folder = repository("data/sst2-mini");
    let gpu = load_with(&folder, &on_gpu(128, F16)).unwrap();
    let ids = reviews(&gpu, 40);
    let singly = scores(&gpu, &ids, 1);
    let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let (too_long, unknown): (&[u32], &[u32]) = (&[1; 600], &[1, 1_000_000]);
    let batches: [&[&[u32]]; 5] = [&ids[..7], &[too_long], &[unknown], &ids[7..8], &ids[8..]];
    let mut found = batches.map(|batch| gpu.score(batch)).into_iter().collect::<Vec<_>>();
    let wrong: Vec<String> = found.drain(1..3).map(|scores| scores.unwrap_err().to_string()).collect();
    assert!(wrong[0].contains("a sequence of 600 tokens") && wrong[1].contains("token id 1000000"), "{wrong:?}");
    let found: Vec<Score> = found.into_iter().flat_map(Result::unwrap).collect();
    let worst = found.iter().zip(&singly).map(|(a, b)| (a.probabilities[0] - b.probabilities[0]).abs());
    assert!(worst.fold(0.0, f32::max) < 2e-3);
}

#[tokio::test]
async fn requests_and_tables_go_through_one_gpu_together() {
    let gpu = Arc::new(load_with(&repository("data/sst2-mini"), &on_gpu(128, F16)).unwrap());
    let number = |number| NonZeroUsize::new(number).unwrap();
    let options = EngineOptions {
        batch_rows: Some(number(32)),
        batch_tokens: Some(TokenBudget::AtMost(number(4096))),
        batch_latency: None,
        threads: None,
        queue_rows: number(10_000),
        background: false,
    };
    let limits = EngineLimits::for_model(&gpu, &options).unwrap();
    let engine = Engine::start(vec![gpu], limits).unwrap();
    let column = |count: usize| -> StringViewArray {
        (0..count).map(|i| Some(format!("a film that is {}", "very ".repeat(i % 20)))).collect()
    };
    let table = tokio::spawn({
        let engine = engine.clone();
        async move { engine.score(column(400), Lane::Bulk).await }
    });
    let mut requests = 0;
    while !table.is_finished() {
        let answer = tokio::time::timeout(Duration::from_mins(1), engine.score(column(2), Lane::Interactive));
        assert_eq!(answer.await.expect("nobody answered").unwrap().len(), 2);
        requests += 1;
    }
    assert_eq!(table.await.unwrap().unwrap().len(), 400);
    assert!(requests > 0);
}

/// The driver's wrapper keeps an error of a drop, and gives it to whoever calls next.
#[test]
fn a_thread_that_never_used_the_gpu_may_drop_a_model() {
    let load = || load_with(&repository("data/sst2-mini"), &on_gpu(128, F16)).unwrap();
    let (dropped, kept) = (load(), load());
    std::thread::spawn(move || drop(dropped)).join().unwrap();
    assert_eq!(scores(&kept, &reviews(&kept, 2), 2).len(), 2);
}

/// The limits are those of the CPU's int8.
#[test]
fn eight_bits_change_few_labels() {
    let folder = repository("data/sst2-mini");
    let cpu = load(&folder, 128).unwrap();
    let ids = reviews(&cpu, 300);
    let expected = scores(&cpu, &ids, 32);
    for dtype in ["int8", "fp8"] {
        let gpu = load_with(&folder, &on_gpu(128, dtype.parse().unwrap())).unwrap();
        assert_eq!(gpu.info().dtype, dtype);
        let found = scores(&gpu, &ids, 32);
        let flipped = expected.iter().zip(&found).filter(|(a, b)| a.label != b.label).count();
        let same = expected.iter().zip(&found).all(|(a, b)| a.probabilities == b.probabilities);
        assert!(flipped <= 3 && !same, "{dtype}: {flipped} of {} labels", ids.len());
    }
}

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    let options = ClassifierOptions { device: DeviceChoice::Cuda(vec![99]), ..on_gpu(128, F32) };
    let error = load_with(&repository("data/sst2-mini"), &options).err().unwrap().to_string();
    assert!(error.contains("--device cuda:99: there is no cuda:99"), "{error}");
}

/// Runs the binary on the emulator, which is told what device to be.
fn run(emulator: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    command(emulator, settings).args(arguments).output().unwrap()
}

fn command(emulator: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = binary();
    command
        .env("TEXTFLIGHT_CUDA_LIBRARIES", emulator)
        .envs(settings.iter().map(|(name, value)| (format!("TEXTFLIGHT_EMULATOR_{name}"), value)))
        .current_dir(repository(""));
    command
}

fn score_reviews<'a>(output: &'a str, device: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    score_file("data/reviews.parquet", output, device, more)
}

fn score_file<'a>(input: &'a str, output: &'a str, device: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let common = ["score", input, "-o", output, "--text", "text", "--truth", "truth"];
    [&common[..], &["--model", "data/sst2-mini", "--device", device], more].concat()
}

/// Texts of about 60 tokens, so many that what comes to the engine together is too much for a small card.
fn write_long_texts(path: &Path) {
    let texts: StringArray =
        (0..600).map(|row| Some(format!("{row} a film as good as the last one, ").repeat(6))).collect();
    let truths: Int64Array = (0..600).map(|_| Some(1)).collect();
    let batch =
        RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef), ("truth", Arc::new(truths) as ArrayRef)]);
    let batch = batch.unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_file_is_scored_on_two_devices_as_on_the_cpu() {
    let Some(emulator) = emulator() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cpu, gpu) = (path("cpu.parquet"), path("gpu.parquet"));
    let accuracy = |output: &Output| {
        assert!(output.status.success(), "{}", text(&output.stderr));
        let line = text(&output.stdout);
        line[line.find("accuracy").unwrap()..].to_owned()
    };
    let on_cpu = accuracy(&run(&emulator, &[], &score_reviews(&cpu, "cpu", &[])));
    let output = run(&emulator, &[("DEVICES", "2")], &score_reviews(&gpu, "cuda:0,cuda:1", &["--dtype", "f32"]));
    assert_eq!(accuracy(&output), on_cpu);
    assert!(text(&output.stderr).contains("cuda:0,cuda:1"), "{}", text(&output.stderr));
}

#[test]
fn a_batch_that_does_not_fit_is_run_in_smaller_ones() {
    let Some(emulator) = emulator() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.parquet"), folder.path().join("out.parquet"));
    write_long_texts(&input);
    // Room for the weights, the workspace and a forward of 32 rows at full length, but not for 512 rows at once.
    let settings = [("MEMORY", "40000000"), ("CAPABILITY", "8.0")];
    let more = ["--batch-rows", "1000", "--batch-tokens", "1000000", "--threads", "1"];
    let arguments = score_file(input.to_str().unwrap(), output.to_str().unwrap(), "cuda", &more);
    let output = run(&emulator, &settings, &arguments);
    let log = text(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("a batch was too much for the device"), "{log}");
}

#[test]
fn a_lost_device_ends_the_command() {
    let Some(emulator) = emulator() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.parquet");
    // In small batches, so that their launches are more than the device lives for.
    let arguments = score_reviews(output.to_str().unwrap(), "cuda", &["--batch-tokens", "512"]);
    let output = run(&emulator, &[("LAUNCHES", "400")], &arguments);
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("takes no more work in this process"), "{log}");
    assert!(!folder.path().join("out.parquet").exists());
}

/// It answers for a while, then requests fail and the process ends.
fn ends_the_server(setting: (&str, &str)) {
    let Some(emulator) = emulator() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = command(&emulator, &[setting])
        .env("TEXTFLIGHT_GPU_TIMEOUT", "1")
        .args([
            "serve",
            "--model",
            "data/sst2-mini",
            "--device",
            "cuda",
            "--flight",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
        ])
        .stdout(Stdio::piped())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    let url = format!("http://{}", ready.trim().split("http=").nth(1).unwrap());
    let ask = || run(&emulator, &[], &["predict", "--url", &url, "-i", "texts=[\"a fine film\"]"]);
    let answers: Vec<Output> = (0..20).map(|_| ask()).collect();
    let good = answers.iter().take_while(|answer| answer.status.success()).count();
    assert!((1..20).contains(&good), "{good} answers");
    let (sender, ended) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(server.wait()));
    let status = ended.recv_timeout(Duration::from_secs(30)).expect("the server goes on").unwrap();
    assert_eq!(status.code(), Some(1));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("takes no more work in this process"), "{log}");
}

#[test]
fn a_lost_device_ends_the_server() {
    ends_the_server(("LAUNCHES", "250"));
}

#[test]
fn a_device_that_hangs_ends_the_server() {
    ends_the_server(("HANGS_AFTER", "350"));
}

#[test]
fn a_device_that_hangs_ends_the_command_and_says_so() {
    let Some(emulator) = emulator() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.parquet");
    let arguments = score_reviews(output.to_str().unwrap(), "cuda", &["--batch-tokens", "512"]);
    let began = Instant::now();
    let mut command = command(&emulator, &[("HANGS_AFTER", "400")]);
    let output = command.env("TEXTFLIGHT_GPU_TIMEOUT", "1").args(arguments).output().unwrap();
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("a GPU hangs") && log.contains("takes no more work in this process"), "{log}");
    // In order, without the last resort.
    assert!(began.elapsed() < Duration::from_secs(13), "{:?}: {log}", began.elapsed());
    assert!(!folder.path().join("out.parquet").exists());
}

#[test]
fn algorithms_are_timed_where_there_are_several() {
    let Some(emulator) = emulator() else { return };
    let settings = [("ALGORITHMS", "3")];
    let predict = ["predict", "-i", "texts=[\"a fine film\"]", "--model", "data/sst2-mini", "--device", "cuda:0"];
    let mut command = command(&emulator, &settings);
    let output = command.env("TEXTFLIGHT_LOG", "debug").args(predict).output().unwrap();
    let log = text(&output.stderr);
    assert!(output.status.success() && text(&output.stdout).contains("predicted_labels"), "{log}");
    assert!(log.contains("algorithms were timed") && log.contains("candidates=3"), "{log}");
}

#[test]
fn a_device_that_fails_at_once_fails_the_start() {
    let Some(emulator) = emulator() else { return };
    let output = run(
        &emulator,
        &[("LAUNCHES", "5")],
        &["predict", "-i", "texts=[\"a\"]", "--model", "data/sst2-mini", "--device", "cuda"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("a first forward failed"), "{}", text(&output.stderr));
}

#[test]
fn an_old_card_has_no_bf16_and_gets_f16() {
    let Some(emulator) = emulator() else { return };
    let predict = ["predict", "-i", "texts=[\"a fine film\"]", "--model", "data/sst2-mini", "--device", "cuda:0"];
    let settings = [("CAPABILITY", "7.5")];
    let output = run(&emulator, &settings, &[&predict[..], &["--dtype", "bf16"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("compute capability 8.0, and cuda:0 has 7.5"), "{}", text(&output.stderr));
    let output = run(&emulator, &settings, &predict);
    assert!(output.status.success() && text(&output.stderr).contains("f16"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("predicted_labels"), "{}", text(&output.stdout));
}

#[test]
fn the_budget_can_be_measured() {
    let Some(emulator) = emulator() else { return };
    let predict = ["predict", "-i", "texts=[\"a fine film\"]", "--model", "data/sst2-mini", "--device", "cuda:0"];
    let output = run(&emulator, &[], &[&predict[..], &["--batch-tokens", "auto"]].concat());
    let log = text(&output.stderr);
    assert!(output.status.success() && log.contains("--batch-tokens auto"), "{log}");
}

#[test]
fn a_machine_without_a_driver_is_told_so() {
    let driver = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"];
    if driver.iter().any(|folder| Path::new(folder).join("libcuda.so.1").exists()) {
        return; // there is nothing to be told
    }
    let folder = tempfile::tempdir().unwrap();
    let predict = ["predict", "-i", "texts=[\"a\"]", "--model", "data/sst2-mini"];
    let output = run(folder.path(), &[], &[&predict[..], &["--device", "cuda:0"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no NVIDIA driver was found"), "{}", text(&output.stderr));
    // auto says what it does instead.
    let output = run(folder.path(), &[], &predict);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("runs on the processor"), "{}", text(&output.stderr));
}

#[test]
fn a_library_that_is_missing_is_named() {
    let Some(emulator) = emulator() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(emulator.join("libcuda.so.1"), folder.path().join("libcuda.so.1")).unwrap();
    let predict = ["predict", "-i", "texts=[\"a\"]", "--model", "data/sst2-mini", "--device", "cuda:0"];
    let output = run(folder.path(), &[], &predict);
    assert_eq!(output.status.code(), Some(2));
    let log = text(&output.stderr);
    assert!(log.contains("libcublasLt.so.") && log.contains("--cuda-libraries"), "{log}");
}

#[test]
fn devices_may_be_named_in_any_order() {
    let Some(emulator) = emulator() else { return };
    let predict =
        ["predict", "-i", "texts=[\"a fine film\"]", "--model", "data/sst2-mini", "--device", "cuda:1,cuda:0"];
    let output = run(&emulator, &[("DEVICES", "2")], &predict);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cuda:1,cuda:0"), "{}", text(&output.stderr));
}
