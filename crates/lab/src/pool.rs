//! `lab pool`: one pool of the lab alone, for as many clients as the machine bears.
//!
//! The pool is the same actor as in stories, in a world without tasks, notes and faults (`wire::lean`), on one thread. One
//! line says when it is ready; it ends on Ctrl-C and TERM, and says what it has served.

mod told;

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use registrar::{Fleet, Pattern, PlainSip, Registrar};
use scenario::cast::{Ground, certified::wanted};
use scenario::lab_file::Lab;
use scenario::language::{Reading, read_lab};
use wire::lean::poll::Waker;
use wire::{Lean, Store};

use crate::arguments::{DigestArgument, Format, Pool};
use crate::files::DiskLibrary;
use crate::signals::Signals;
use crate::{certs, status, terminal};

/// How long the pool may sleep though nothing happens.
const LOOK_UP: Duration = Duration::from_secs(3600);

/// Files that a process has open beside connections: standard ones, ports, the store, the poller.
const OTHER_FILES: u64 = 64;

/// How many connections are taken on a machine that has no limit of open files.
const CONNECTIONS_UNLIMITED: u64 = 1_000_000;

/// Serves until it is asked to stop.
pub fn pool(arguments: &Pool) -> u8 {
    status(run(arguments).map(|()| true))
}

fn run(arguments: &Pool) -> Result<(), String> {
    let path = arguments.lab.display().to_string();
    let reading = Reading { library: &DiskLibrary, vocabulary: scenario::run::vocabulary(), lab: &path };
    let mut lab = read_lab(&path, reading)
        .map_err(|mistakes| mistakes.render(terminal::colour()).trim_end().to_owned())?;
    // Real clients look at real dates.
    lab.epoch = certs::today();
    let files = wire::limits::raise_files();
    let network = match arguments.listen {
        Some(IpAddr::V4(at)) => std::net::Ipv4Addr::new(at.octets()[0], at.octets()[1], 0, 0),
        Some(IpAddr::V6(_)) | None => arguments.ground.network,
    };
    let place = wire::Ground::probe(network, arguments.ground.port_offset)?;
    let (name, setup) = setup(arguments, &lab, place)?;
    let store = match &arguments.state {
        Some(path) => Some(Store::open(path).map_err(|why| why.to_string())?),
        None => None,
    };
    let connections = files.map_or(CONNECTIONS_UNLIMITED, |files| files.saturating_sub(OTHER_FILES));
    let connections_max = usize::try_from(connections).unwrap_or(usize::MAX);
    let mut told = told::Told::of(&name, &setup, place, files, connections_max);
    let mut world = Lean::new(wire::lean::Setup { ground: place, store, connections_max })
        .map_err(|why| why.to_string())?;
    let who = world.add(&name, Registrar::new(setup));
    let problems = world.take_problems();
    if !problems.is_empty() {
        return Err(problems.join("\nlab: "));
    }
    let stopped = stopper(world.waker(), arguments.until_eof)?;
    told.sockets(world.sockets_of(who));
    match arguments.format {
        Format::Text => terminal::print(&told.ready_text()),
        Format::Json => terminal::line(&told.ready_json().to_string()),
    }
    while !stopped.load(Ordering::Acquire) {
        world.turn(LOOK_UP).map_err(|why| format!("the pool cannot go on: {why}"))?;
        for problem in world.take_problems() {
            eprintln!("lab: {problem}");
        }
    }
    let served = told::Served::of(&world, who);
    match arguments.format {
        Format::Text => terminal::print(&served.text()),
        Format::Json => terminal::line(&served.json().to_string()),
    }
    Ok(())
}

/// What the pool is built from: what the lab says, and over it what the command line says.
fn setup(arguments: &Pool, lab: &Lab, place: wire::Ground) -> Result<(String, registrar::Setup), String> {
    let mut random = [0; 8];
    use ring::rand::SecureRandom as _;
    ring::rand::SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| "this machine has no randomness to give".to_owned())?;
    let mut ground = Ground::real(u64::from_be_bytes(random), place.network);
    let wanted = wanted(lab, Some(ground.addresses));
    let ready = certs::ready(&arguments.certs, &wanted, arguments.key.map(Into::into), lab.epoch)?;
    ground.certified = Some(Arc::new(ready.certified));
    let pools = scenario::cast::pools(lab, &ground).map_err(|why| why.to_string())?;
    let names: Vec<&str> = pools.iter().map(|(name, _)| name.as_str()).collect();
    let unknown = |name: &str| format!("the lab has no pool `{name}`; it has {}", names.join(", "));
    let index = match &arguments.pool {
        None => 0,
        Some(name) => names.iter().position(|known| known == name).ok_or_else(|| unknown(name))?,
    };
    let (name, mut setup) = pools.into_iter().nth(index).ok_or("the lab has no pool")?;
    if let Some(address) = arguments.listen {
        setup.address = address;
    }
    if let Some(domain) = &arguments.domain {
        setup.domain.clone_from(domain);
    }
    let mut plain =
        setup.plain_sip.unwrap_or(PlainSip { digest: registrar::DigestOffer::Md5, ..PlainSip::USUAL });
    let port = |port: u16| (port != 0).then_some(port);
    plain.udp = arguments.udp.map_or(plain.udp, port);
    plain.tcp = arguments.tcp.map_or(plain.tcp, port);
    setup.sip_port = arguments.tls.unwrap_or(setup.sip_port);
    // Under load there are no browsers.
    (plain.ws, plain.wss) = (None, None);
    match arguments.digest {
        None => {}
        Some(DigestArgument::None) => plain.digest = registrar::DigestOffer::None,
        Some(DigestArgument::Md5) => plain.digest = registrar::DigestOffer::Md5,
        Some(DigestArgument::Sha256) => plain.digest = registrar::DigestOffer::Sha256,
        Some(DigestArgument::Both) => plain.digest = registrar::DigestOffer::Both,
    }
    setup.plain_sip = Some(plain);
    setup.keeps_bindings = arguments.state.is_some();
    if arguments.accounts > 0 {
        let user = Pattern::parse(&arguments.user)?;
        if !user.tells_apart() && arguments.accounts > 1 {
            return Err(format!(
                "`{}` names one account; `{{n}}` in it would stand for the number",
                arguments.user
            ));
        }
        let password = Pattern::parse(&arguments.password)?;
        setup.fleet = Some(Fleet::new(user, password, arguments.accounts, &setup.domain));
    }
    Ok((name, setup))
}

/// Becomes true when somebody asks for an end, and wakes the pool.
fn stopper(waker: Waker, until_eof: bool) -> Result<Arc<AtomicBool>, String> {
    let stopped = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| format!("no event loop for signals: {why}"))?;
    let (ready, is_ready) = mpsc::channel();
    let (flag, wake) = (stopped.clone(), waker.clone());
    #[expect(clippy::disallowed_methods, reason = "the pool does not wait for signals")]
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let signals = Signals::new();
            let _ = ready.send(signals.is_ok());
            if let Ok(mut signals) = signals {
                signals.next().await;
                flag.store(true, Ordering::Release);
                wake.wake();
            }
        });
    });
    if !matches!(is_ready.recv(), Ok(true)) {
        return Err("this machine does not tell of Ctrl-C and TERM".to_owned());
    }
    if until_eof {
        let flag = stopped.clone();
        #[expect(clippy::disallowed_methods, reason = "the pool does not wait for its standard input")]
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while std::io::stdin().read(&mut buffer).is_ok_and(|length| length > 0) {}
            flag.store(true, Ordering::Release);
            waker.wake();
        });
    }
    Ok(stopped)
}

/// Where a port of the pool is on this machine.
fn at(address: IpAddr, port: u16, place: wire::Ground) -> SocketAddr {
    place.real_address(SocketAddr::new(address, port))
}
