//! `apps`: the library of applications.

use super::builtin::{ALL, BuiltIn};
use super::failure::{Exit, Failure};
use super::session::{Session, table};
use serde::Serialize;

/// List the built-in applications with their parameters
#[derive(clap::Args, Debug)]
pub(crate) struct Apps {}

#[derive(Serialize)]
struct AppsJson {
    apps: [BuiltIn; ALL.len()],
}

impl Apps {
    // Commands have one shape; this one looks at nothing.
    #[allow(clippy::unused_self)]
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let text = || {
            let mut rows = vec![["--app", "for example", ""].map(str::to_owned).to_vec()];
            rows.extend(ALL.iter().map(|app| {
                vec![format!("{}{}", app.name, app.parameters), app.example.to_owned(), app.description.to_owned()]
            }));
            table(&rows, &[])
        };
        session.print(text, &AppsJson { apps: ALL })?;
        Ok(None)
    }
}
