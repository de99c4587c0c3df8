//! What `docs/cli.md` prints for a command: tests compare it with what the command prints.

/// The lines that follow a command.
pub(in crate::cli) fn printed(command: &str) -> String {
    let page = include_str!("../../docs/cli.md");
    let prompt = format!("$ {command}");
    let mut lines = page.lines().skip_while(|line| *line != prompt).skip(1).peekable();
    assert!(lines.peek().is_some(), "docs/cli.md does not show {command:?}");
    let shown = lines.take_while(|line| !line.starts_with("$ ") && !line.starts_with("```"));
    shown.flat_map(|line| [line, "\n"]).collect()
}
