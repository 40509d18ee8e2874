use shim::*;
fn main() {
    println!("{}", capabilities());
    let mut args = std::env::args().skip(1);
    let Some(command) = args.next() else { return };
    let dir = std::path::PathBuf::from("/tmp/probe-out");
    let _ = std::fs::remove_dir_all(&dir);
    let mut spec = HostSpec::new("probe", command, &dir).arguments(args);
    spec.trace = TraceLevel::Deterministic;
    spec.cpu = Some(0); spec.call_cost=std::time::Duration::from_nanos(std::env::var("COST").map_or(0,|c|c.parse().unwrap()));
    spec.watchdog = std::time::Duration::from_secs(10);
    let t = std::time::Instant::now();
    let mut host = Host::spawn(spec).unwrap();
    println!("spawn {:?}", t.elapsed());
    let mut now = Nanos(0);
    let mut signal = None;
    loop {
        let out = host.advance(Input { now, signal: signal.take(), ..Input::default() });
        let out = match out { Ok(o) => o, Err(e) => { println!("ERR {e}"); break } };
        if out.status.is_some() { break }
        match out.deadline { Some(d) if d.0 < 100_000_000_000 => now = d, other => { println!("blocked {other:?}"); break } }
    }
    println!("{:?} {:?}", host.finish(), t.elapsed());
    print!("--out\n{}", std::fs::read_to_string(dir.join("stdout")).unwrap());
    print!("--err\n{}", std::fs::read_to_string(dir.join("stderr")).unwrap());
}
