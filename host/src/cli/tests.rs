//! What the help texts show can be typed.

use clap::{CommandFactory, Parser};

use super::Cli;

/// Every command with its full name, leaves and groups.
fn commands(command: &clap::Command, name: &str) -> Vec<(String, clap::Command)> {
    let mut found = vec![(name.to_owned(), command.clone())];
    for sub in command.get_subcommands() {
        found.extend(commands(sub, &format!("{name} {}", sub.get_name())));
    }
    found
}

/// The words of a line as a shell would split them; what follows a pipe or a wide gap is not the command's.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut spaces) = (None, 0);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '|') => break,
            (None, ' ') => {
                spaces += 1;
                if spaces > 1 {
                    break;
                }
                words.push(String::new());
                continue;
            }
            (_, c) => words.last_mut().unwrap().push(c),
        }
        spaces = 0;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_example_in_a_help_text_is_a_command_line_that_is_understood() {
    let mut examples = 0;
    for (name, command) in commands(&Cli::command(), "lockgate") {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines().filter_map(|line| line.find("lockgate ").filter(|_| line.starts_with("  ")).map(|at| &line[at..])) {
            // Ids are written as words where a reader puts their own.
            let words: Vec<String> = words(line);
            let parsed = Cli::try_parse_from(&words);
            assert!(parsed.is_ok(), "{name}: {line}\n{}", parsed.unwrap_err());
            examples += 1;
        }
    }
    assert!(examples > 25, "{examples} examples");
}

#[test]
fn a_run_that_is_held_to_no_goal_is_not_asked_whether_goals_hold() {
    assert!(Cli::try_parse_from(["lockgate", "bench", "--quick", "--check"]).is_err());
    assert!(Cli::try_parse_from(["lockgate", "bench", "--check"]).is_ok());
}

#[test]
fn secrets_are_set_in_the_data_folder_that_is_named_before_or_behind() {
    for line in ["lockgate secret --data d set crm.password", "lockgate secret set crm.password --data d", "lockgate secret list --data d"]
    {
        assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
    }
}
