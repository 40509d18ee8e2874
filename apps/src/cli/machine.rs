//! `machine`: a preset as a file that can be edited.

use super::args::MachineSettings;
use super::compile::machine_ron;
use super::failure::{Exit, Failure};
use super::session::Session;
use super::{files, load};
use sim_core::machine::MachineSpec;
use std::path::PathBuf;

/// Write a machine as a RON file that can be edited
#[derive(clap::Args, Debug)]
pub(crate) struct MachineCommand {
    /// Preset such as `torus:4x4`, or a machine file
    #[arg(value_name = "PRESET|FILE")]
    machine: String,
    #[command(flatten)]
    settings: MachineSettings,
    /// File to write [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl MachineCommand {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let machine = load::named_machine(&self.machine, &self.settings)?;
        match &self.output {
            Some(path) => {
                files::write(path, machine_ron(&machine))?;
                let nodes = (machine.nodes().len(), machine.links().len());
                if session.is_json() {
                    session.print(String::new, &MachineSpec::of(&machine))?;
                } else {
                    let (nodes, links) = nodes;
                    session.talk(format_args!(
                        "{} ({nodes} nodes, {links} links) is in {}",
                        machine.name(),
                        path.display()
                    ));
                }
            }
            None => session.print(|| machine_ron(&machine), &MachineSpec::of(&machine))?,
        }
        Ok(None)
    }
}
