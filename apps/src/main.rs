//! The `tidelock` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidelock::command_line()
}
