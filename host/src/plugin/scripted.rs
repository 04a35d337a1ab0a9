//! [`ScriptedInvoker`]: plugins as closures, so that the delivery core runs without Wasm in tests and simulations.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::{Call, CallFailure, Effects, Obstacle, Output, PluginInvoker, Report};
use crate::capability::heard::Heard;

/// What a scripted plugin does with a call.
type Script = Box<dyn Fn(&Call) -> Answer + Send + Sync>;

/// What a scripted call gives back.
#[derive(Debug)]
pub struct Answer {
    pub result: Result<Output, CallFailure>,
    pub obstacle: Option<Obstacle>,
    pub effects: Effects,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self { result: Ok(output), obstacle: None, effects: Effects::default() }
    }
}

impl From<CallFailure> for Answer {
    fn from(failure: CallFailure) -> Self {
        Self { result: Err(failure), obstacle: None, effects: Effects::default() }
    }
}

/// Plugins by name.
#[derive(Default)]
pub struct ScriptedInvoker(HashMap<String, Script>);

impl fmt::Debug for ScriptedInvoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ScriptedInvoker {
    /// Adds a plugin.
    pub fn with(mut self, plugin: &str, script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        self.0.insert(plugin.to_owned(), Box::new(script));
        self
    }
}

#[async_trait]
impl PluginInvoker for ScriptedInvoker {
    async fn invoke(&self, call: Call, mut carried: Effects) -> Report {
        let answer = self.0.get(&call.plugin.name).map_or_else(
            || Answer::from(CallFailure::Permanent { code: "no-such-plugin".to_owned(), detail: call.plugin.name.clone() }),
            |script| script(&call),
        );
        carried.key_values.extend(answer.effects.key_values);
        carried.sends.extend(answer.effects.sends);
        Report {
            result: answer.result,
            effects: carried,
            requests: Vec::new(),
            heard: Heard::default(),
            obstacle: answer.obstacle,
            cpu: Duration::ZERO,
            wall: Duration::ZERO,
        }
    }
}
