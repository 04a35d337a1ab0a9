//! [`Told`]: why there is no component, as the language's tools or the plugin itself tell it, in one form for people.

use serde::{Deserialize, Serialize};

use crate::problem::{Code, Problem};

/// Why a plugin does not build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    pub message: String,
    /// In the plugin's folder, or of a package.
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// The line of the source.
    pub text: Option<String>,
    pub fix: Option<String>,
    pub traceback: Option<String>,
}

impl Told {
    pub fn of(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub fn fix(self, fix: &str) -> Self {
        Self { fix: Some(fix.to_owned()), ..self }
    }

    /// `orders.py:2:11: SyntaxError: …`, the line's text below it, and what the language says in full.
    pub fn problem(&self, plugin: &str) -> Problem {
        let place = [self.file.clone(), self.line.map(|line| line.to_string()), self.column.map(|column| column.to_string())];
        let place: Vec<String> = place.into_iter().flatten().collect();
        let mut text = if place.is_empty() { self.message.clone() } else { format!("{}: {}", place.join(":"), self.message) };
        if let Some(line) = self.text.as_deref().map(str::trim).filter(|line| !line.is_empty()) {
            text.push_str(&format!("\n    {line}"));
        }
        if let Some(traceback) = &self.traceback {
            text.push_str(&format!("\n\n{}", traceback.trim_end()));
        }
        let fix = self.fix.clone().unwrap_or_else(|| format!("mend it until `lockgate build {plugin}` passes"));
        Problem::new(Code::BuildFailed, format!("plugin {plugin} does not build:\n{text}")).fix(fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_a_plugin_is_wrong_and_what_to_write() {
        let said = r#"{"message": "SyntaxError: invalid syntax", "file": "orders.py", "line": 2, "column": 11, "text": "  return = 1"}"#;
        let problem = serde_json::from_str::<Told>(said).unwrap().problem("orders");
        assert_eq!(problem.message, "plugin orders does not build:\norders.py:2:11: SyntaxError: invalid syntax\n    return = 1");
        assert_eq!(problem.fix.as_deref(), Some("mend it until `lockgate build orders` passes"));
        let problem = Told::of("no").fix("do").problem("orders");
        assert_eq!((problem.message.as_str(), problem.fix.as_deref()), ("plugin orders does not build:\nno", Some("do")));
    }
}
