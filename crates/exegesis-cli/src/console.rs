//! What is printed where: results to stdout, everything else to stderr.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use exegesis::Error;
use exegesis::report::ColorChoice;
use indicatif::{ProgressBar, ProgressStyle};

/// Work shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_secs(2);
/// Plain lines come no more often than this.
const INTERVAL: Duration = Duration::from_secs(10);

/// The user's terminal, or what stands for it.
#[derive(Debug)]
pub struct Console {
    quiet: bool,
    verbose: bool,
}

impl Console {
    /// True if more than the usual is asked for.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// A console that says nothing, the usual, or more.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose }
    }

    /// A result, to stdout. A reader that has gone away is no error.
    pub fn result(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        if !text.ends_with('\n') {
            let _ = out.write_all(b"\n");
        }
        let _ = out.flush();
    }

    /// A result for people, which `-q` suppresses.
    pub fn summary(&self, text: &str) {
        if !self.quiet {
            self.result(text);
        }
    }

    /// A remark on what happens, to stderr.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// A remark that only `-v` asks for.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            eprintln!("{text}");
        }
    }

    /// Something the user should know before trusting a result.
    pub fn warning(&self, text: &str) {
        if !self.quiet {
            eprintln!("warning: {text}");
        }
    }

    /// The reason why nothing came out.
    pub fn error(&self, error: &Error) {
        eprintln!("error: {error}");
    }

    /// Colours if stdout is a terminal that may show them.
    pub fn color(&self) -> ColorChoice {
        let wanted = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        if wanted { ColorChoice::Ansi } else { ColorChoice::Plain }
    }

    /// Progress of work called `what`, counted in rows.
    pub fn progress(&self, what: &str) -> Progress {
        self.progress_of(what, "rows")
    }

    /// Progress of work called `what`, counted in `unit`.
    pub fn progress_of(&self, what: &str, unit: &'static str) -> Progress {
        let bar = (!self.quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template(&format!(
                "{{msg}} {{bar:30}} {{pos}}/{{len}} {unit}, {{eta}} left"
            ));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(what.to_string());
            bar
        });
        let now = Instant::now();
        Progress { what: what.to_string(), unit, bar, quiet: self.quiet, started: now, said: now }
    }
}

/// Progress of one piece of work: a bar on a terminal, otherwise a line now and then.
#[derive(Debug)]
pub struct Progress {
    what: String,
    unit: &'static str,
    bar: Option<ProgressBar>,
    quiet: bool,
    started: Instant,
    said: Instant,
}

impl Progress {
    /// `done` of `total` are done.
    pub fn at(&mut self, done: usize, total: usize) {
        self.part(done as f64, total);
    }

    /// The same where what is at hand is done in part.
    pub fn part(&mut self, done: f64, total: usize) {
        let elapsed = self.started.elapsed();
        if elapsed < PATIENCE {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        } else if !self.quiet && self.said.elapsed() >= INTERVAL {
            self.said = Instant::now();
            let left = elapsed.as_secs_f64() * (total as f64 - done) / done.max(1e-3);
            eprintln!("{}: {} of {total} {}, about {left:.0} s left", self.what, done as u64, self.unit);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
