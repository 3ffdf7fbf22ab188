//! The command line: parse, then one match over the commands.

mod cli;
mod config;
mod lock;
mod signal;
mod telemetry;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use textflight::bulk::{self, Details, JobOptions, OutcomeWriter, PageFile, Pairs, Progress, ReportPage, ScoringModel};
use textflight::classifier::{Checkpoint, Classifier, ModelFacts};
use textflight::cog::command::{self, PredictRequest, Question};
use textflight::engine::{Engine, EngineLimits, EngineOptions, Scorer};
use textflight::readiness::ServedModel;
use textflight::remote::RemoteScorer;
use textflight::server::Server;
use textflight::store::{FileLocation, StoreOptions, Stores, Traffic};
use textflight::traces::Traces;
use textflight::{Error, Result, cog};
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::info;

use crate::cli::{CheckArgs, Cli, Command, ModelArgs, PredictArgs, ScoreArgs, ServeArgs};
use crate::config::ScoredFiles;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What jemalloc reads at its start: a thread of its own gives the system back, after a second, what was freed.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_OPTIONS: &[u8; 60] = b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0\0";

#[expect(clippy::print_stderr, reason = "an error is for the person at the terminal")]
fn main() -> ExitCode {
    let cli = Cli::read();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            match error {
                Error::Invalid(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::Failed(format!("cannot start the runtime: {e}")))?;
    let traces = match &cli.command {
        Command::Serve(args) => Traces::open(args.otlp_endpoint.as_deref(), runtime.handle())?,
        _ => None,
    };
    telemetry::init(&cli.log, traces.as_ref())?;
    let done = match cli.command {
        Command::Serve(args) => runtime.block_on(serve(args)),
        Command::Score(args) => runtime.block_on(score_files(args)),
        Command::Predict(args) => runtime.block_on(unless_interrupted(predict(args))),
        Command::Check(args) => runtime.block_on(unless_interrupted(check(args))),
        Command::Schema => schema(),
    };
    if let Some(traces) = traces {
        traces.close(config::defaults::LAST_TRACES);
    }
    // What still runs on a blocking thread must not hold the process.
    runtime.shutdown_background();
    done
}

async fn serve(args: ServeArgs) -> Result<()> {
    let released = args.while_locked.as_deref().map(lock::released).transpose()?;
    let stop = signal::first_or(released);
    let server = Server::bind(args.server()?).await?;
    let load = spawn_blocking(move || {
        let checkpoint = Checkpoint::open(&args.model.model)?;
        let engine = start(&args.model, &checkpoint, &args.engine())?;
        Ok(ServedModel::new(engine, checkpoint.version()?))
    });
    let load =
        async { load.await.unwrap_or_else(|panic| Err(Error::Failed(format!("the model was not loaded: {panic}")))) };
    server.run(load, stop).await
}

async fn score_files(args: ScoreArgs) -> Result<()> {
    let stores = Stores::new(StoreOptions::parse(&args.store_options)?, Handle::current());
    let released = args.while_locked.as_deref().map(lock::released).transpose()?;
    let done = unless(signal::first_or(released), Box::pin(score(args, &stores))).await;
    stores.settle(config::defaults::LAST_UPLOADS).await;
    let Traffic { read, written, requests } = stores.counters().traffic();
    if requests > 0 {
        info!(read, written, requests, "object stores: bytes read and written, and requests without retries");
    }
    done
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the closing line is the command's answer")]
async fn score(args: ScoreArgs, stores: &Stores) -> Result<()> {
    let files = args.files()?;
    let args = Arc::new(args);
    let (asked, named, there) = (Arc::clone(&args), files.clone(), stores.clone());
    // On a thread of its own, so that a signal is heard while a store is asked.
    let found = spawn_blocking(move || pairs(&asked, &named, &there)).await;
    let (pairs, others) = found.unwrap_or_else(|panic| Err(Error::Failed(format!("no files were found: {panic}"))))?;
    if args.dry_run {
        return dry_run(&args, &pairs, others.as_ref(), stores).await;
    }
    let report = args.report.as_deref().map(OutcomeWriter::create).transpose()?;
    let page = args.html.as_deref().map(PageFile::create).transpose()?;
    let mut model = scoring_model(&args).await?;
    if args.dedup_memory > 0 {
        let classes = model.facts.info.labels.len();
        model.scorer = Arc::new(bulk::Dedup::new(model.scorer, classes, args.dedup_memory)?);
    }
    let ran = args.ran(&files, &model.facts.info);
    let progress = Progress::on_stderr(args.progress.into());
    let summary = bulk::score_files(&model, &pairs, &args.job(stores), report, &progress).await;
    let summary = match summary {
        Ok(summary) => summary,
        Err(error) => return Err(of_a_part(error, others.as_ref(), &model, &args.job(stores)).await),
    };
    if let Some(page) = page {
        page.write(&ReportPage { summary: &summary, ran: &ran })?;
    }
    // Where the table goes to stdout, nothing else does.
    if files.output == FileLocation::Standard {
        let said = if args.json { serde_json::json!(summary).to_string() } else { summary.to_string() };
        eprintln!("{said}");
    } else if args.json {
        println!("{}", serde_json::json!(summary));
    } else {
        println!("{summary}");
        if std::io::stdout().is_terminal() {
            print!("{}", Details(&summary));
        }
    }
    all_read(summary.files.failed, &pairs)
}

#[expect(clippy::print_stdout, reason = "the estimate is the command's answer")]
async fn dry_run(args: &ScoreArgs, pairs: &Pairs, others: Option<&Pairs>, stores: &Stores) -> Result<()> {
    let model = scoring_model(args).await?;
    let progress = Progress::on_stderr(args.progress.into());
    let estimate = bulk::dry_run(&model, pairs, &args.job(stores), &progress).await;
    let estimate = match estimate {
        Ok(estimate) => estimate,
        Err(error) => return Err(of_a_part(error, others, &model, &args.job(stores)).await),
    };
    if args.json {
        println!("{}", serde_json::json!(estimate));
    } else {
        print!("{estimate}");
    }
    all_read(estimate.files.failed, pairs)
}

/// What is wrong with all files of a shard may be right for those of others: then this machine alone fails.
async fn of_a_part(error: Error, others: Option<&Pairs>, model: &ScoringModel, options: &JobOptions) -> Error {
    match (error, others) {
        (Error::Invalid(what), Some(others)) if bulk::fits_any(others, options, &model.facts).await => {
            Error::Failed(what)
        }
        (error, _) => error,
    }
}

fn all_read(failed: u64, pairs: &Pairs) -> Result<()> {
    match failed {
        0 => Ok(()),
        failed => Err(Error::Failed(format!("{failed} of {} files failed: see above", pairs.len()))),
    }
}

/// Which files a job reads and writes, and of a shard those of all shards.
fn pairs(args: &ScoreArgs, files: &ScoredFiles, stores: &Stores) -> Result<(Pairs, Option<Pairs>)> {
    let name = if args.merge { bulk::merge } else { bulk::pair };
    let pairs = name(&files.inputs, &files.output, bulk::TABLES, stores)?;
    let told = [("--report", &args.report), ("--html", &args.html)];
    let told: Vec<_> = told.iter().filter_map(|(option, path)| Some((*option, path.as_deref()?))).collect();
    bulk::check_apart(&told, &pairs)?;
    let Some(shard) = args.shard() else { return Ok((pairs, None)) };
    let all = pairs.clone();
    let pairs = pairs.of_shard(shard, |input| bulk::row_groups(input, stores))?;
    bulk::check_apart(&told, &pairs)?;
    match pairs.len() {
        0 => info!("shard {shard}: none of the {} files is for it, and no part of them", all.len()),
        some => info!("shard {shard}: {some} files or parts of files, out of {} files", all.len()),
    }
    Ok((pairs, Some(all)))
}

/// What scores, here or on other machines.
async fn scoring_model(args: &ScoreArgs) -> Result<ScoringModel> {
    if let Some(options) = args.remote.options() {
        let remote = RemoteScorer::connect(options).await?;
        let facts = remote.facts().clone();
        return Ok(ScoringModel { scorer: Arc::new(remote), facts });
    }
    let checkpoint = Checkpoint::open(&args.model.model)?;
    let engine = start(&args.model, &checkpoint, &args.model.engine())?;
    let facts = ModelFacts { info: engine.model().clone(), version: checkpoint.version()? };
    Ok(ScoringModel { scorer: Arc::new(engine), facts })
}

async fn predict(args: PredictArgs) -> Result<()> {
    let remote = match &args.url {
        Some(url) => Some(command::Remote::new(url, args.api_token.as_ref())?),
        None => None,
    };
    let request = PredictRequest { inputs: args.inputs, json: args.json, output: args.output };
    let question = Question::read(request).await?;
    match remote {
        Some(remote) => question.ask(&remote).await,
        None => question.make(start_local(&args.model)?).await,
    }
}

#[expect(clippy::print_stdout, reason = "the report is the command's answer")]
async fn check(args: CheckArgs) -> Result<()> {
    let scratch = tempfile::tempdir().map_err(|e| Error::Failed(format!("no temporary folder: {e}")))?;
    let options = args.options(scratch.path());
    // On a thread of its own, so that a signal is heard meanwhile.
    let report = spawn_blocking(move || textflight::check::check(&options)).await;
    let report = report.unwrap_or_else(|panic| Err(Error::Failed(format!("the check broke off: {panic}"))))?;
    if args.json {
        println!("{}", serde_json::json!(report));
        return Ok(());
    }
    print!("{report}");
    if report.agrees() {
        Ok(())
    } else {
        Err(Error::Failed("scores differ more than they should: see TOO FAR above".to_owned()))
    }
}

#[expect(clippy::print_stdout, reason = "the document is the command's answer")]
fn schema() -> Result<()> {
    println!("{}", cog::http::openapi()?);
    Ok(())
}

/// [`start`] where nothing serves.
fn start_local(args: &ModelArgs) -> Result<Engine> {
    start(args, &Checkpoint::open(&args.model)?, &args.engine())
}

/// Loads and proves the checkpoint on each device, then starts the model threads.
fn start(args: &ModelArgs, checkpoint: &Checkpoint, options: &EngineOptions) -> Result<Engine> {
    let began = Instant::now();
    let classifiers = Classifier::load_each(checkpoint, &args.classifier())?;
    let classifiers: Vec<_> = classifiers.into_iter().map(Arc::new).collect();
    let Some(first) = classifiers.first() else {
        return Err(Error::Failed("no device is open".to_owned()));
    };
    let limits = EngineLimits::for_model(first, options)?;
    let scorers = classifiers.into_iter().map(|classifier| classifier as Arc<dyn Scorer>).collect();
    let engine = Engine::start(scorers, limits)?;
    let model = engine.model();
    info!(
        model = model.name,
        revision = model.revision,
        device = model.device,
        dtype = model.dtype,
        kernels = model.kernels,
        labels = model.labels.join(","),
        max_length = model.max_length,
        threads = limits.threads,
        batch_rows = limits.batch.rows,
        batch_tokens = limits.batch.tokens,
        batch_latency_ms = limits.batch_latency.map(|latency| latency.as_secs_f64() * 1000.0),
        seconds = began.elapsed().as_secs_f32(),
        "the model is loaded"
    );
    Ok(engine)
}

/// Drops the work, and with it what it left half-done, when a signal comes.
async fn unless_interrupted(work: impl Future<Output = Result<()>>) -> Result<()> {
    unless(signal::first(), work).await
}

async fn unless(end: impl Future<Output = ()>, work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::select! {
        done = work => done,
        () = end => Err(Error::Cancelled("interrupted".to_owned())),
    }
}
