//! What can be said on the command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A lab for desk phones: tells stories about phones, their network, their sign-in and their pool, the same way
/// again and again.
#[derive(Debug, Parser)]
#[command(name = "lab", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell stories and say what came of them
    Run(Run),
    /// Read stories and tell none: every mistake at once
    Check(Check),
    /// Print the JSON Schema of stories, of load plans or of lab.yaml, or the list of verbs
    Schema(Schema),
    /// Keep a lab running on real sockets, for phones, browsers and programs of other people
    Up(Up),
    /// Serve one of the lab's pools alone, for as many clients as the machine bears
    Pool(Pool),
    /// Do a share of load plans that others conduct: waits at a NATS broker for one after the other
    Worker(Worker),
    /// Offer a server the load of many phones by a plan, and say what came of it; or compare two results
    Load(Load),
    /// Put complete phones by the thousand under load: boot them, sign them in, have them call each other
    Fleet(Fleet),
    /// Make, show and export the lab's own certificates
    Certs(Certs),
}

/// Tell stories.
#[derive(Debug, Args)]
pub struct Run {
    /// Stories, and folders of stories
    #[arg(required = true, value_name = "STORY|DIR")]
    pub paths: Vec<PathBuf>,
    /// The seed instead of the lab's own; the same seed gives the same run
    #[arg(long, conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// Tell every story once for each seed from A to B, both included
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    pub seeds: Option<Seeds>,
    /// The lab of stories that name none
    #[arg(long, default_value = "lab.yaml")]
    pub lab: PathBuf,
    /// Print the ladder of messages after each story, for engineers
    #[arg(long)]
    pub ladder: bool,
    /// Print the tale after each story: who did what with whom, in the words of the phone room
    #[arg(long)]
    pub tale: bool,
    /// Write a report of each story into this folder: its tale, its ladder, its phones' logs, the pictures that it wanted,
    /// its outcome
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Capture what the network carries into this pcapng file, which Wireshark opens: packets, remarks on what happened,
    /// and the secrets that open TLS. For one telling of one story
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Write the outcomes as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// How many stories are told at a time; all cores if not given
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// How outcomes are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Print failures only
    #[arg(long, short)]
    pub quiet: bool,
    /// Tell the stories over real sockets with real TLS, one after the other, instead of in the simulation
    #[arg(long, conflicts_with_all = ["jobs", "seeds"])]
    pub wire: bool,
    /// With --wire, how lab time passes: so many times as fast as real time, or `max`, which leaps over quiet times
    #[arg(long, value_name = "N|max", requires = "wire", value_parser = parse_speed)]
    pub speed: Option<wire::Speed>,
    #[command(flatten)]
    pub ground: GroundArguments,
}

/// Where a lab of real sockets lies on this machine.
#[derive(Clone, Copy, Debug, Args)]
pub struct GroundArguments {
    /// The network whose addresses the lab's actors get, 65,536 of them; with anything but a part of 127.0.0.0/8 everybody
    /// who reaches those addresses reaches the lab: its accounts, its pages and its servers, with passwords that stand in
    /// lab.yaml. The addresses must be this machine's
    #[arg(long, value_name = "A.B.0.0/16", default_value = "127.20.0.0/16", value_parser = parse_network)]
    pub network: Ipv4Addr,
    /// Added to port numbers below 1024 if this user may not have those: 443 becomes 10443
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub port_offset: u16,
}

/// Keep a lab running.
#[derive(Debug, Args)]
pub struct Up {
    /// The lab
    #[arg(default_value = "lab.yaml", value_name = "LAB")]
    pub lab: PathBuf,
    /// Where the lab keeps its state: disks, seed, token of the control API
    #[arg(long, default_value = "lab-state", value_name = "DIR")]
    pub state: PathBuf,
    /// Forget what an earlier lab kept there
    #[arg(long)]
    pub fresh: bool,
    /// The folder of certificates and keys; what is missing is made
    #[arg(long, default_value = "certs", value_name = "DIR")]
    pub certs: PathBuf,
    /// The kind of key that authorities and servers are to have; P-256 if there are none yet
    #[arg(long, value_enum)]
    pub key: Option<Key>,
    /// The phones that are there and have power: names with commas between, or `none`; all if not given
    #[arg(long, value_name = "NAMES|none")]
    pub phones: Option<String>,
    /// Serve a part of the lab alone, for a fleet that lives in another program
    #[arg(long, value_enum)]
    pub only: Option<Only>,
    /// Where the control API listens; anything but a loopback address lets others who have the token control the lab
    #[arg(long, default_value = "127.0.0.1:7480", value_name = "ADDRESS:PORT")]
    pub control: std::net::SocketAddr,
    /// Serve nothing at ::1; by default the services' ports are there too, each for the first service that has it
    #[arg(long)]
    pub no_ipv6: bool,
    /// How many times as fast as real time the lab's clocks run
    #[arg(long, value_name = "N", value_parser = parse_times)]
    pub speed: Option<wire::Speed>,
    /// Capture what goes over the sockets into this pcapng file, with the secrets of TLS inside
    #[arg(long, value_name = "FILE.pcapng")]
    pub trace: Option<PathBuf>,
    /// How the table of addresses is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub ground: GroundArguments,
}

/// Do a share of load plans.
#[derive(Debug, Args)]
pub struct Worker {
    /// The broker: `nats://host:port` or `tls://host:port`, with `token@` or `user:password@` before the host if it wants that
    #[arg(value_name = "NATS-URL")]
    pub broker: String,
    /// What this worker is called in results: letters, digits, `-` and `_`; its machine's name and its process number if not
    /// said
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How many cores it works on; all if not said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub cores: Option<u16>,
    /// The room in which it waits: `lab load --run NAME` finds those who said the same
    #[arg(long, value_name = "NAME", default_value = "load")]
    pub run: String,
    /// Put load on servers of other machines, too, if a plan says so: whoever may write to the broker then decides on whom
    #[arg(long)]
    pub anywhere: bool,
}

/// Serve a pool alone.
#[derive(Debug, Args)]
pub struct Pool {
    /// The lab
    #[arg(default_value = "lab.yaml", value_name = "LAB")]
    pub lab: PathBuf,
    /// Which of its pools; the first one if not said
    #[arg(long, value_name = "NAME")]
    pub pool: Option<String>,
    /// The pool's address in place of its own in the lab's network; anything but a part of 127.0.0.0/8 lets others reach it
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::IpAddr>,
    /// The port of SIP over UDP in place of the lab's; 0 opens none
    #[arg(long, value_name = "PORT")]
    pub udp: Option<u16>,
    /// The port of SIP over TCP in place of the lab's; 0 opens none
    #[arg(long, value_name = "PORT")]
    pub tcp: Option<u16>,
    /// The port of SIP over TLS in place of the lab's
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub tls: Option<u16>,
    /// The SIP domain and digest realm in place of the lab's
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// How many accounts there are beside those of the lab's people
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub accounts: u64,
    /// The user names of those accounts: `{n}` stands for the number from 0, `{n:06}` for the same with six digits
    #[arg(long, value_name = "PATTERN", default_value = "load{n}")]
    pub user: String,
    /// Their passwords, by number as well if wanted
    #[arg(long, value_name = "PATTERN", default_value = "secret")]
    pub password: String,
    /// Which proof of a password is asked for in place of what the lab says; `none` believes everybody
    #[arg(long, value_enum)]
    pub digest: Option<DigestArgument>,
    /// Keep bindings and certificates in this file, so that they are there at the next start; without, they are in memory
    /// alone
    #[arg(long, value_name = "FILE.redb")]
    pub state: Option<PathBuf>,
    /// The folder of certificates and keys; what is missing is made
    #[arg(long, default_value = "certs", value_name = "DIR")]
    pub certs: PathBuf,
    /// The kind of key that authorities and servers are to have; P-256 if there are none yet
    #[arg(long, value_enum)]
    pub key: Option<Key>,
    /// End when the standard input ends, too: a program that started the pool takes it along
    #[arg(long)]
    pub until_eof: bool,
    /// How it says that it is ready, and what it has served
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub ground: GroundArguments,
}

/// Which proofs of a password a pool asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DigestArgument {
    /// None: whoever says to be somebody is believed
    None,
    /// MD5
    Md5,
    /// SHA-256
    #[value(name = "sha-256")]
    Sha256,
    /// SHA-256, and behind it MD5
    Both,
}

/// Offer load.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct Load {
    /// Compare results instead
    #[command(subcommand)]
    pub other: Option<LoadOther>,
    /// The plan
    #[arg(required = true, value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Write what came of it into this folder: result.json, report.html, latency.hlog, beats.jsonl, junit.xml
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How the summary is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Print nothing but what is wrong
    #[arg(long, short)]
    pub quiet: bool,
    /// On how many cores the load is made, instead of what the plan says
    #[arg(long, value_name = "N")]
    pub cores: Option<std::num::NonZeroU32>,
    /// Say something instead of the plan: phones.count=1000, limits.p99=20ms; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Let the target be another machine; without it only this machine's own addresses are loaded
    #[arg(long)]
    pub anywhere: bool,
    /// Have the load made by workers that wait at this NATS broker (`lab worker`), instead of by this program
    #[arg(long, value_name = "NATS-URL", conflicts_with = "cores")]
    pub workers: Option<String>,
    /// How many workers are awaited; all that come within three seconds if not said
    #[arg(long, value_name = "N", requires = "workers")]
    pub expect: Option<std::num::NonZeroUsize>,
    /// The room in which workers wait
    #[arg(long = "run", value_name = "NAME", default_value = "load", requires = "workers")]
    pub room: String,
    /// The server's process on this machine: what it and its children cost is looked at from outside. The lab's own pool is
    /// watched without being named
    #[arg(long, value_name = "PID")]
    pub watch: Option<u32>,
    /// Serve Prometheus metrics there while it runs: http://ADDRESS:PORT/metrics
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen_metrics: Option<std::net::SocketAddr>,
}

/// What else `lab load` does.
#[derive(Debug, Subcommand)]
pub enum LoadOther {
    /// Say what differs between two results beyond noise
    Compare(LoadCompare),
}

/// Compare results.
#[derive(Debug, Args)]
pub struct LoadCompare {
    /// The older result: a folder that `--out` wrote, or its result.json
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The newer result
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// Exit with 1 if B is worse than A beyond noise
    #[arg(long)]
    pub fail_on_worse: bool,
    /// How the comparison is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Parts of a lab that can be served alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Only {
    /// The identity service, the pools and the public authority: no names, no time, no sites, no people
    Services,
}

/// Put complete phones under load.
#[derive(Debug, Args)]
pub struct Fleet {
    /// The lab; it must have a fleet
    #[arg(value_name = "LAB")]
    pub lab: PathBuf,
    /// What happens, one after the other: boot=RATE, sign-in=RATE, call=RATExCOUNT,ring=1s,hold=10s, cut (the power goes
    /// everywhere), rest=SPAN, floor (measures what the cryptography of one sign-in costs). Rates are pieces of work a
    /// second that fall due whether or not the phones keep up; without xCOUNT, as many as there are phones for it
    #[arg(required = true, value_name = "STAGE", value_parser = crate::fleet::Stage::parse)]
    pub stages: Vec<crate::fleet::Stage>,
    /// Which fleet, if the lab has several
    #[arg(long, value_name = "NAME")]
    pub fleet: Option<String>,
    /// Where identity service and pools are
    #[arg(long, value_enum, default_value_t = ServicesAt::Child)]
    pub services: ServicesAt,
    /// The folder of certificates and keys; what is missing is made
    #[arg(long, default_value = "certs", value_name = "DIR")]
    pub certs: PathBuf,
    /// Where services in a program of their own keep their state; an earlier one is forgotten
    #[arg(long, default_value = "fleet-state", value_name = "DIR")]
    pub state: PathBuf,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub ground: GroundArguments,
}

/// Where the services are that a fleet loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServicesAt {
    /// In a program of their own, started for the run: so that each side's CPU is its own
    Child,
    /// In the same program and on the same core as the phones
    Here,
    /// Running already: `lab up LAB --only services` with the same certificates and network
    Running,
}

/// Read stories.
#[derive(Debug, Args)]
pub struct Check {
    /// Stories, and folders of stories
    #[arg(required = true, value_name = "STORY|DIR")]
    pub paths: Vec<PathBuf>,
    /// The lab of stories that name none
    #[arg(long, default_value = "lab.yaml")]
    pub lab: PathBuf,
}

/// Print what editors and readers need.
#[derive(Debug, Args)]
pub struct Schema {
    /// Of what
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// Of what a schema is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The JSON Schema of lab.yaml
    Lab,
    /// The JSON Schema of stories
    Story,
    /// The JSON Schema of load plans
    Plan,
    /// The JSON Schema of what comes of a load plan: result.json
    LoadResult,
    /// The list of verbs, as Markdown
    Verbs,
}

/// The lab's own certificates.
#[derive(Debug, Args)]
pub struct Certs {
    /// What to do with them
    #[command(subcommand)]
    pub what: CertsCommand,
}

/// What to do with the lab's certificates.
#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// Make the authorities and server certificates that are missing, with keys of this machine's own
    Make(CertsMake),
    /// Show what there is: for whom, by whom, until when, and its fingerprint
    Show(CertsPlace),
    /// Write certificates in the shape that others take: the authorities' roots as PEM if nothing else is said
    Export(CertsExport),
}

/// What certificates are made like.
#[derive(Debug, Args)]
pub struct CertsMake {
    /// Where, and for which lab
    #[command(flatten)]
    pub place: CertsPlace,
    /// The keys of authorities that are made, and of their servers: P-256 if not said
    #[arg(long, value_enum)]
    pub key: Option<Key>,
    /// Name the servers' addresses, too, as they are on real sockets in the /16 network that begins here
    #[arg(long, value_name = "ADDRESS")]
    pub network: Option<std::net::Ipv4Addr>,
}

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Key {
    /// ECDSA on P-256: small and fast
    P256,
    /// RSA of 2048 bits, for devices that know nothing else
    Rsa,
}

impl From<Key> for pki::KeyKind {
    fn from(key: Key) -> pki::KeyKind {
        match key {
            Key::P256 => pki::KeyKind::P256,
            Key::Rsa => pki::KeyKind::Rsa2048,
        }
    }
}

/// What is exported, and how.
#[derive(Debug, Args)]
pub struct CertsExport {
    /// Whose: `public-root`, `identity`, a pool such as `fe`, or its authority such as `fe-root`; all authorities if none
    /// is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Where they are, and of which lab
    #[command(flatten)]
    pub place: CertsPlace,
    /// In which shape
    #[arg(long, value_enum, default_value_t = Shape::Pem)]
    pub format: Shape,
    /// Write files into this folder; PEM and the phone's file are printed without it
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What opens the PKCS #12 file
    #[arg(long, default_value = "lab", value_name = "TEXT")]
    pub password: String,
    /// How the PKCS #12 file is encrypted
    #[arg(long, value_enum, default_value_t)]
    pub encryption: crate::certs::Encryption,
}

/// Shapes of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Text (RFC 7468), for browsers, curl and OpenSSL; no keys
    Pem,
    /// Octets, one file each, for Windows and phones; no keys
    Der,
    /// PKCS #12, one file each: the key, its chain and the root
    P12,
    /// A configuration file that has a real phone trust the authorities
    Phone,
}

/// Where certificates are, and for which lab.
#[derive(Debug, Args)]
pub struct CertsPlace {
    /// The folder of certificates and keys
    #[arg(long, default_value = "certs", value_name = "DIR")]
    pub dir: PathBuf,
    /// The lab whose names they carry
    #[arg(long, default_value = "lab.yaml")]
    pub lab: PathBuf,
}

/// How outcomes are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON object a line, for machines
    Json,
}

/// A range of seeds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let (first, last) = text.split_once("..").ok_or("two numbers with `..` between them, such as 1..1000")?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| format!("`{text}` is no number"));
    let seeds = Seeds { first: number(first)?, last: number(last)? };
    if seeds.first > seeds.last {
        return Err("the first seed is larger than the last".to_owned());
    }
    if seeds.last - seeds.first >= 10_000_000 {
        return Err("more than ten million seeds".to_owned());
    }
    Ok(seeds)
}

fn parse_speed(text: &str) -> Result<wire::Speed, String> {
    if text == "max" {
        return Ok(wire::Speed::Leap);
    }
    parse_times(text).map_err(|why| format!("{why}; `max` leaps over quiet times"))
}

/// A lab that stays does not leap: with nobody in it to wait for, its clocks would run away from everybody.
fn parse_times(text: &str) -> Result<wire::Speed, String> {
    let times: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if !(0.1..=1000.0).contains(&times) {
        return Err("between 0.1 and 1000 times as fast as real time".to_owned());
    }
    // Within the range that was just checked.
    Ok(wire::Speed::Thousandths((times * 1000.0) as u32))
}

fn parse_network(text: &str) -> Result<Ipv4Addr, String> {
    let wrong = || format!("`{text}` is no network of 65,536 addresses, such as 127.20.0.0/16");
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let is_whole = prefix == "16" && address.octets()[2..] == [0, 0];
    is_whole.then_some(address).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_network_is_a_whole_sixteen() {
        assert_eq!(parse_network("127.20.0.0/16"), Ok(Ipv4Addr::new(127, 20, 0, 0)));
        for wrong in ["127.20.0.0", "127.20.1.0/16", "127.20.0.0/24", "lab/16"] {
            assert!(parse_network(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn speed_is_a_factor_or_max() {
        assert_eq!(parse_speed("20"), Ok(wire::Speed::Thousandths(20_000)));
        assert_eq!(parse_speed("max"), Ok(wire::Speed::Leap));
        assert!(parse_speed("0").is_err() && parse_speed("fast").is_err());
        assert!(parse_times("max").is_err());
    }

    #[test]
    fn seeds_are_a_range_with_both_ends() {
        assert_eq!(parse_seeds("1..1000"), Ok(Seeds { first: 1, last: 1000 }));
        assert!(parse_seeds("9..1").is_err());
        assert!(parse_seeds("7").is_err());
    }
}
