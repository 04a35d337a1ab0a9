//! Progress of long work on standard error: a spinner on a terminal, plain lines elsewhere, nothing with `--json`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::plugin::build::Event;

/// Shows what is being done.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Progress {
    /// `quiet` shows nothing.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let bar = (terminal && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::default_spinner());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, quiet }
    }

    /// Says what is being done now.
    pub fn step(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None if self.quiet => {}
            None => super::output::complaint(text),
        }
    }

    /// Says more of it where it can be overwritten; nothing elsewhere.
    pub fn detail(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }
}

impl Progress {
    /// Tells of builds: which plugin is built, once for each, and what its tools say where that can be overwritten.
    pub fn of_builds(&self) -> impl Fn(Event<'_>) + Sync {
        let building = Mutex::new(String::new());
        move |event| match event {
            Event::Building { plugin } => self.detail(&format!("Building {plugin}")),
            Event::Step { plugin, step } => self.step(&format!("Building {plugin}: {step}")),
            Event::Line { plugin, line } if line.trim_start().starts_with("Compiling") => {
                // Not said at all where Cargo finds everything fresh.
                let mut said = building.lock().unwrap_or_else(PoisonError::into_inner);
                if *said != plugin {
                    self.step(&format!("Building {plugin}"));
                    plugin.clone_into(&mut said);
                }
                self.detail(&format!("Building {plugin}: {line}"));
            }
            Event::Line { plugin, line } => self.detail(&format!("Building {plugin}: {line}")),
            Event::Built { .. } => {}
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
