//! A guest on the SDK that prints, panics and looks around as any Rust program does. The SDK stands in for parts of the C
//! library (`lockgate_sdk`'s `printing`): that everything else of it still links and works is shown here.

#![cfg(target_family = "wasm")]

use std::collections::HashMap;
use std::io::Write;
use std::time::SystemTime;

use lockgate_sdk::{Context, Draft, Failure, Message, Output, Transformer};

struct Printing;

impl Transformer for Printing {
    fn transform(message: Message, _: Context) -> Result<Output, Failure> {
        let said = match message.text()?.split_once(' ') {
            Some(("print", lines)) => print(lines.parse().unwrap_or(0)),
            Some(("panic", why)) => panic!("{why}"),
            Some(("allocate", rounds)) => allocate(rounds.parse().unwrap_or(0)),
            _ => look_around(),
        };
        Ok(Draft::new("text/plain", said).into())
    }
}

lockgate_sdk::export_transformer!(Printing);

fn print(lines: usize) -> String {
    for line in 0..lines {
        println!("line {line} on standard output");
        eprintln!("line {line} on standard error");
    }
    let nothing = std::io::stdout().write(b"").unwrap_or(usize::MAX);
    std::io::stdout().flush().map_or("not flushed".into(), |()| format!("printed, and then {nothing} bytes"))
}

/// Much more in all than the memory there is, in blocks of all sizes, kept for a while and grown: none may overlap another, and what
/// is freed has to come back.
fn allocate(rounds: usize) -> String {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for round in 0..rounds {
        let mut block = vec![round as u8; 1 + round * 37 % 5_000];
        block.extend(std::iter::repeat_n(round as u8, round * 101 % 3_000));
        block.shrink_to_fit();
        kept.push(block);
        if kept.len() > 64 {
            let freed = kept.swap_remove(round * 7 % 64);
            assert!(freed.iter().all(|byte| *byte == freed[0]), "round {round}");
        }
    }
    let whole = kept.iter().all(|block| block.iter().all(|byte| *byte == block[0]));
    format!("{} blocks, whole {whole}, zeroed {}", kept.len(), vec![0_u8; 1 << 20].iter().all(|byte| *byte == 0))
}

/// What a program may ask a machine for, none of which is there.
fn look_around() -> String {
    let variables: HashMap<String, String> = std::env::vars().collect();
    let path = std::env::var("PATH").is_ok();
    let file = std::fs::read("/etc/passwd").is_ok() || std::fs::write("/written", "here").is_ok();
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{} variables, path {path}, file {file}, clock {clock}", variables.len())
}
