//! Four hosts: network namespaces with an address and an empty directory each, joined by a bridge.

use super::{RUN, assert_same, expected, folder, told};
use std::fs;
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

const COUNT: usize = 4;

/// Namespaces that go away with the test, also if it fails.
struct Network {
    names: Vec<String>,
}

impl Network {
    /// Why it cannot be had, if so.
    fn new() -> Result<Self, String> {
        let process = std::process::id();
        let names = (0..=COUNT).map(|number| format!("tidelock-{process}-{number}")).collect();
        let network = Self { names };
        let (hub, hosts) = network.names.split_first().expect("there is a hub");
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link add bridge type bridge"))?;
        ip(&format!("-n {hub} link set bridge up"))?;
        for (number, host) in hosts.iter().enumerate() {
            let port = format!("port{number}");
            ip(&format!("netns add {host}"))?;
            ip(&format!("-n {hub} link add {port} type veth peer name eth0 netns {host}"))?;
            ip(&format!("-n {hub} link set {port} master bridge up"))?;
            ip(&format!("-n {host} address add {}/24 dev eth0", Self::address(number)))?;
            ip(&format!("-n {host} link set eth0 up"))?;
        }
        Ok(network)
    }

    fn address(number: usize) -> String {
        format!("10.77.0.{}", number + 1)
    }

    /// A command on a host.
    fn on(&self, number: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[number + 1]]);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            // Those that were not made are not there.
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

fn ip(words: &str) -> Result<(), String> {
    match Command::new("ip").args(words.split_whitespace()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("ip {words}: {}", told(&output).trim())),
        Err(error) => Err(format!("ip: {error}")),
    }
}

/// Shards that end with the test.
struct Shards(Vec<Child>);

impl Drop for Shards {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn shards_on_four_hosts_share_no_files() {
    let network = match Network::new() {
        Ok(network) => network,
        Err(why) => return eprintln!("skipped: network namespaces are not permitted: {why}"),
    };
    let folder = folder("launch_namespaces");
    let mut shards = Shards(Vec::new());
    for rank in 0..COUNT {
        let own = folder.join(format!("host{rank}"));
        fs::create_dir(&own).unwrap();
        let mut command = network.on(rank);
        command.arg(env!("CARGO_BIN_EXE_tidelock")).arg("shard").args(RUN.split_whitespace());
        command.args(["--format", "json", "--secret-file", "-", "--shards", &COUNT.to_string()]);
        command.args(["--rank", &rank.to_string(), "--rendezvous", &format!("{}:7411", Network::address(0))]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir(&own);
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"of this test\n").unwrap();
        shards.0.push(child);
    }
    let outputs: Vec<Output> = shards.0.drain(..).map(|child| child.wait_with_output().unwrap()).collect();
    for output in &outputs {
        assert!(output.status.success(), "{}", told(output));
    }
    assert_same(&outputs[0], &expected(&folder));
    for rank in 0..COUNT {
        assert_eq!(fs::read_dir(folder.join(format!("host{rank}"))).unwrap().count(), 0, "{rank} has left files");
    }
}
