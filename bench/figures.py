#!/usr/bin/env python3
"""Measures the lab beside other people's programs, in one go, on loopback; prints medians of five, their spread, and ratios.

    cargo build --release -p lab
    bench/figures.py                 every row (half an hour on two cores)
    bench/figures.py udp tls storm   some rows
    bench/figures.py --runs 3 --list

A row's programs take turns, A B A B …, so that neighbours on the machine meet them alike. CPU is the operating system's own
count for each process, user and system together, divided by the registrations that succeeded. What is missing on the machine
(kamailio, kamailio-tls-modules, sip-tester from Debian) is skipped aloud. Everything that is started is stopped by its own
process id. Results: bench/results/ROW.json; nothing else is written but a working folder, bench/run/.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
RUN = HERE / "run"
RESULTS = HERE / "results"
LAB = pathlib.Path(os.environ.get("LAB", ROOT / "target/release/lab"))
TICK = os.sysconf("SC_CLK_TCK")
KAMAILIO = "127.0.8.1"
POOL = "127.0.9.1"
DOMAIN = "contoso.example"


# What the operating system says of processes.


def family(pid):
    """A process and all that came of it."""
    pids = [pid]
    for one in pids:
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            try:
                pids += [int(child) for child in task.read_text().split()]
            except OSError:
                pass
    return pids


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory_kib(pids, what="Pss"):
    """Memory that is resident, with what is shared divided among those who share it."""
    total = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(rf"^{what}:\s+(\d+)", text, re.M).group(1))
    return total


def busy_seconds():
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:7])) / TICK


def wait_until(is_so, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = is_so()
        if found:
            return found
        time.sleep(0.05)
    sys.exit(f"{what}: not within {seconds} s")


class Server:
    """A server that runs, whoever made it."""

    def __init__(self, arguments, log, **more):
        self.log = open(RUN / log, "w")
        self.process = subprocess.Popen(arguments, cwd=RUN, stderr=self.log, stdin=subprocess.DEVNULL, **more)

    def pids(self):
        return family(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pids = self.pids()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            for pid in reversed(pids):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()
        self.log.close()


class Kamailio(Server):
    name = "Kamailio"

    def __init__(self, transport, digest, workers=2):
        # Debian's build crashes with two workers for TLS.
        workers = 1 if transport == "tls" else workers
        names = [f"WORKERS={workers}"]
        names += ["AUTH"] if digest else []
        names += ["STREAM"] if transport != "udp" else []
        names += ["SECURE"] if transport == "tls" else []
        arguments = ["kamailio", "-DD", "-E", "-w", ".", "-Y", ".", "-f", "kamailio.cfg", "-m", "2000", "-M", "32"]
        for name in names:
            arguments += ["-A", name]
        super().__init__(arguments, "kamailio.log", stdout=subprocess.DEVNULL)
        self.at = f"{KAMAILIO}:{15061 if transport == 'tls' else 15060}"
        wait_until(lambda: self.shared_memory() > 0, 10, "kamailio, see bench/run/kamailio.log")

    def shared_memory(self):
        """What its bindings are kept in, with the allocator's own share: `used` alone leaves that out."""
        asked = ["timeout", "5", "kamcmd", "-s", "unix:./kamailio.ctl", "core.shmmem"]
        said = subprocess.run(asked, cwd=RUN, capture_output=True, text=True).stdout
        found = re.search(r"real_used: (\d+)", said)
        return int(found.group(1)) if found else 0


class Pool(Server):
    name = "the lab's pool"

    def __init__(self, transport, digest, accounts=100_000):
        arguments = [LAB, "pool", ROOT / "lab.yaml", "--format", "json", "--listen", POOL, "--accounts", str(accounts)]
        arguments += ["--user", "load{n:06}", "--password", "secret", "--digest", "md5" if digest else "none", "--certs", "certs"]
        super().__init__(arguments, "pool.log", stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"lab pool did not start: {(RUN / 'pool.log').read_text()}")
        self.ready = json.loads(line)
        self.at = f"{POOL}:{5061 if transport == 'tls' else 5060}"


# Generators.


def sipp(server, digest, rate, seconds):
    """SIPp at a fixed rate; says what came of it and what it cost."""
    arguments = ["sipp", "-sf", f"{HERE}/register{'-digest' if digest else ''}.xml", "-inf", "users.csv", server.at]
    arguments += ["-i", "127.0.10.1", "-p", "16100", "-t", "u1", "-r", str(rate), "-rp", "1000", "-m", str(rate * seconds)]
    arguments += ["-l", "18000", "-nostdin", "-deadcall_wait", "0", "-recv_timeout", "8000", "-buff_size", "4194304"]
    arguments += ["-timeout", str(seconds * 4 + 10), "-timeout_error"]
    before = os.times()
    with open(RUN / "sipp.out", "w") as out:
        subprocess.run(arguments, cwd=RUN, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    after = os.times()
    text = (RUN / "sipp.out").read_text(errors="replace")

    def last(name):
        return int((re.findall(rf"{name}\s+\|\s+\d+\s+\|\s+(\d+)", text) or [0])[-1])

    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return dict(ok=last("Successful call"), failed=last("Failed call"), generator_cpu=spent)


def load(server, plan, *more):
    """The lab's own generator; `plan` is YAML. What the server cost is looked at from outside, second by second."""
    (RUN / "plan.yaml").write_text(plan)
    out = RUN / "out"
    shutil.rmtree(out, ignore_errors=True)
    arguments = [LAB, "load", "plan.yaml", "--out", out, "--quiet", "--watch", str(server.process.pid), *more]
    done = subprocess.run(arguments, cwd=RUN, capture_output=True, text=True)
    if not (out / "result.json").exists():
        sys.exit(f"lab load: {done.stdout}{done.stderr}\n{plan}")
    return told(json.loads((out / "result.json").read_text()))


def told(result):
    """What a result.json says, in short; a run whose counts do not add up is worth nothing."""
    ended = result["counted"]
    if ended["offered"] != ended["succeeded"] + sum(ended["failed"].values()) + ended["unfinished"]:
        sys.exit("lab load: its counts do not add up")
    kind = max(result["latency"].items(), key=lambda item: item[1]["count"], default=(None, None))[1]
    return dict(
        rate=ended["succeeded_per_s"],
        offered=ended["offered"],
        ok=ended["succeeded"],
        unfinished=ended["unfinished"],
        failed=sum(ended["failed"].values()),
        causes=ended["failed"],
        retransmissions=ended["retransmissions"],
        p50_ms=kind and kind["p50_us"] / 1e3,
        p99_ms=kind and kind["p99_us"] / 1e3,
        generator_us=result["generator"]["cpu_us_per_operation"],
        server_us=(result.get("server") or {}).get("cpu_us_per_operation"),
        neighbours=result["generator"]["neighbours"],
    )


def plan(server, transport, phones, profile, warm_up, digest=False, work="register", sockets=1, more=""):
    """A plan against a server that this program has started: one core for the generator, as SIPp has one, the other for it."""
    name = ", certificate: contoso.example, roots: any" if transport == "tls" else ""
    return f"""title: figures
target: {{ server: "{server.at}", domain: {DOMAIN}, transport: {transport}{name} }}
phones:
  count: {phones}
  user: load{{n:06}}
  password: secret
  addresses: 200
  sockets: {sockets}
work: {work}
profile:
{profile}
warm-up: {warm_up}
cores: 1
{more}"""


# What is made of several runs.


def spread(values, digits=1):
    values = [value for value in values if value is not None]
    if not values:
        return "not measured"
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


class Table:
    """The runs of a row, side by side."""

    def __init__(self, name, runs):
        self.name, self.count, self.runs = name, runs, {}

    def add(self, who, result):
        self.runs.setdefault(who, []).append(result)

    def values(self, who, what):
        return [run.get(what) for run in self.runs.get(who, [])]

    def median(self, who, what):
        values = [value for value in self.values(who, what) if value is not None]
        return statistics.median(values) if values else None

    def line(self, label, who, what, unit, beside=None, digits=1):
        text = f"  {label:<44} {spread(self.values(who, what), digits)} {unit}"
        ours, theirs = self.median(who, what), beside and self.median(beside, what)
        if ours and theirs:
            text += f"; {beside}: {spread(self.values(beside, what), digits)}, ratio {ours / theirs:.2f}"
        failed = sum(value or 0 for value in self.values(who, "failed"))
        print(text + (f"; {failed} FAILED" if failed else ""), flush=True)

    def save(self):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{self.name}.json").write_text(json.dumps(self.runs, indent=1))


def has(program):
    return shutil.which(program) is not None


def has_kamailio(transport="udp"):
    if not has("kamailio"):
        print("  kamailio is not installed: skipped")
        return False
    if transport == "tls" and not list(pathlib.Path("/usr/lib").glob("*/kamailio/modules/tls.so")):
        print("  kamailio's TLS module is not installed: skipped")
        return False
    return True


# The rows.


def over_udp(table, digest):
    """Generator and registrar over UDP, each beside somebody else's."""
    work = "{ register: { forget-challenge: true } }" if digest else "register"
    rates = dict(pool=15_000, kamailio=6_000, sipp=5_000) if digest else dict(pool=40_000, kamailio=15_000, sipp=12_000)
    for _ in range(table.count):
        if has_kamailio():
            with Kamailio("udp", digest) as server:
                steady = f"  - steady: {rates['kamailio']}/s for 7s"
                table.add("Kamailio", load(server, plan(server, "udp", 10_000, steady, "2s", work=work)))
                if has("sipp"):
                    table.add("SIPp", sipp(server, digest, rates["sipp"], 5))
        with Pool("udp", digest) as server:
            steady = f"  - steady: {rates['pool']}/s for 7s"
            table.add("the lab", load(server, plan(server, "udp", 10_000, steady, "2s", work=work)))
    for run in table.runs.get("SIPp", []):
        run["generator_us"] = run["generator_cpu"] / max(1, run["ok"]) * 1e6
    table.line("generator, CPU per registration", "the lab", "generator_us", "µs", "SIPp")
    table.line("registrar, CPU per registration", "the lab", "server_us", "µs", "Kamailio")
    table.line("rate, the lab's both ends", "the lab", "rate", "/s", digits=0)
    table.line("response time p99", "the lab", "p99_ms", "ms", "Kamailio", 2)


def row_udp(table):
    over_udp(table, digest=False)


def row_digest(table):
    over_udp(table, digest=True)


def over_tls(table, digest):
    """Refreshes over TLS connections that stay."""
    work = "{ register: { forget-challenge: true } }" if digest else "register"
    for _ in range(table.count):
        if has_kamailio("tls"):
            with Kamailio("tls", digest) as server:
                profile = "  - boot-storm: 3s jitter 1s for 6s\n  - steady: 3k/s for 6s"
                table.add("Kamailio", load(server, plan(server, "tls", 1_500, profile, "7s", work=work)))
        with Pool("tls", digest) as server:
            rate = "6k" if digest else "12k"
            profile = f"  - boot-storm: 10s jitter 3s for 20s\n  - steady: {rate}/s for 6s"
            table.add("the lab", load(server, plan(server, "tls", 15_000, profile, "21s", work=work)))
    table.line("generator, CPU per refresh", "the lab", "generator_us", "µs")
    table.line("registrar, CPU per refresh", "the lab", "server_us", "µs", "Kamailio")
    table.line("response time p99", "the lab", "p99_ms", "ms", "Kamailio", 2)


def row_tls(table):
    over_tls(table, digest=False)


def row_tls_digest(table):
    over_tls(table, digest=True)


def row_storm(table):
    """Phones that connect, shake hands, register and stay."""
    for _ in range(table.count):
        if has_kamailio("tls"):
            with Kamailio("tls", False) as server:
                profile = "  - steady: 400/s for 10s"
                table.add("Kamailio", load(server, plan(server, "tls", 5_000, profile, "2s")))
        with Pool("tls", False) as server:
            profile = "  - steady: 1250/s for 10s"
            table.add("the lab", load(server, plan(server, "tls", 15_000, profile, "2s")))
    table.line("phones a second, both ends on this machine", "the lab", "rate", "/s", digits=0)
    table.line("generator, CPU per phone", "the lab", "generator_us", "µs")
    table.line("registrar, CPU per phone", "the lab", "server_us", "µs", "Kamailio")
    table.line("response time p99", "the lab", "p99_ms", "ms", "Kamailio", 1)


def row_bindings(table):
    """What 100,000 bindings cost a registrar."""
    phones = 100_000
    profile = "  - boot-storm: 5s jitter 2s for 12s"
    for _ in range(table.count):
        if has_kamailio():
            with Kamailio("udp", False) as server:
                before = server.shared_memory()
                load(server, plan(server, "udp", phones, profile, "0s"))
                table.add("Kamailio", dict(octets=(server.shared_memory() - before) / phones))
        with Pool("udp", False) as server:
            before = memory_kib(server.pids())
            load(server, plan(server, "udp", phones, profile, "0s"))
            # Transactions are remembered for 32 s (timer J); bindings are what is left.
            time.sleep(34)
            table.add("the lab", dict(octets=(memory_kib(server.pids()) - before) * 1024 / phones))
    table.line("memory per binding at 100,000", "the lab", "octets", "octets", "Kamailio", 0)


def row_idle(table):
    """What an idle TLS phone costs each side, the kernel's share left out."""
    phones = 15_000
    for _ in range(table.count):
        with Pool("tls", False) as server:
            before = memory_kib(server.pids())
            profile = "  - boot-storm: 10s jitter 3s for 20s\n  - quiet: 8s"
            text = plan(server, "tls", phones, profile, "0s")
            (RUN / "plan.yaml").write_text(text)
            started = subprocess.Popen([LAB, "load", "plan.yaml", "--quiet", "--out", RUN / "out"], cwd=RUN)
            time.sleep(25)
            theirs, ours = memory_kib(server.pids()) - before, memory_kib(family(started.pid))
            started.wait()
            result = json.loads((RUN / "out/result.json").read_text())
            held = max(second["connected"] for second in result["seconds"])
            failed = sum(result["counted"]["failed"].values())
            table.add("the lab", dict(server=theirs / phones, generator=ours / phones, held=held, failed=failed))
    table.line("connections held", "the lab", "held", "", digits=0)
    table.line("pool, memory per idle TLS phone", "the lab", "server", "KiB")
    table.line("generator, memory per idle TLS phone", "the lab", "generator", "KiB")


def row_growth(table):
    """How cost grows with the number of phones: the same rate from 1,000, 10,000 and 100,000 of them."""
    for _ in range(table.count):
        for phones in (1_000, 10_000, 100_000):
            with Pool("udp", False) as server:
                profile = "  - boot-storm: 3s jitter 1s for 8s\n  - steady: 20k/s for 8s"
                before = memory_kib(server.pids())
                result = load(server, plan(server, "udp", phones, profile, "9s"))
                result["memory"] = (memory_kib(server.pids()) - before) / 1024
                table.add(f"{phones} phones", result)
    for who in list(table.runs):
        table.line(f"{who}: registrar, CPU per refresh", who, "server_us", "µs")
        table.line(f"{who}: generator, CPU per refresh", who, "generator_us", "µs")
        table.line(f"{who}: pool's memory, what it remembers included", who, "memory", "MiB")


def row_boot(table):
    """100,000 phones over UDP boot after a power cut, both ends on this machine."""
    for _ in range(table.count):
        with Pool("udp", False) as server:
            before = memory_kib(server.pids())
            profile = "  - boot-storm: 10s jitter 3s for 20s"
            result = load(server, plan(server, "udp", 100_000, profile, "0s"))
            result["memory"] = memory_kib(server.pids()) / 1024
            table.add("the lab", result)
    table.line("registered", "the lab", "ok", "", digits=0)
    table.line("response time p99", "the lab", "p99_ms", "ms", digits=2)
    table.line("pool's memory", "the lab", "memory", "MiB", digits=0)


def accounts_for(who, table):
    """Says of each run where everything that was offered is."""
    for run in table.runs.get(who, []):
        causes = ", ".join(f"{count} {cause}" for cause, count in run["causes"].items()) or "none failed"
        print(
            f"  {who:<44} {run['offered']} offered = {run['ok']} succeeded + {run['failed']} failed + "
            f"{run['unfinished']} unfinished ({causes}); {run['retransmissions']} retransmissions, p99 {run['p99_ms']:.1f} ms",
            flush=True,
        )


def row_loss(table):
    """A network that loses datagrams, both ways."""
    for share in ("1%", "10%"):
        for _ in range(table.count):
            with Pool("udp", False) as server:
                steady = "  - steady: 5k/s for 8s"
                more = f"network: {{ loss: {share}, delay: 5ms }}\ndrain: 40s"
                table.add(f"{share} lost", load(server, plan(server, "udp", 10_000, steady, "1s", more=more)))
        accounts_for(f"{share} lost", table)


def row_killed(table):
    """A server that is killed under load and comes back two seconds later."""
    for _ in range(table.count):
        server = Pool("udp", False)
        steady = "  - steady: 5k/s for 12s"
        (RUN / "plan.yaml").write_text(plan(server, "udp", 10_000, steady, "1s", more="drain: 40s"))
        shutil.rmtree(RUN / "out", ignore_errors=True)
        started = subprocess.Popen([LAB, "load", "plan.yaml", "--quiet", "--out", RUN / "out"], cwd=RUN)
        time.sleep(5)
        server.process.kill()
        server.process.wait()
        time.sleep(2)
        with Pool("udp", False):
            started.wait()
        table.add("killed and started again", told(json.loads((RUN / "out/result.json").read_text())))
    accounts_for("killed and started again", table)


def row_workers(table):
    """Workers at a NATS server: one, two, and two of which one is killed."""
    if not has("nats-server"):
        print("  nats-server is not installed: skipped")
        return
    broker = "nats://127.0.0.1:14222"

    def run(names, rate, kills=None):
        with Pool("udp", False) as server:
            # As fast as it can be offered would be another figure: what is asked is whether shares add up.
            steady = f"  - steady: {rate}/s for 8s"
            (RUN / "plan.yaml").write_text(plan(server, "udp", 10_000, steady, "1s", more="drain: 10s"))
            shutil.rmtree(RUN / "out", ignore_errors=True)
            workers = {}
            for name in names:
                arguments = [LAB, "worker", broker, "--name", name, "--cores", "1"]
                workers[name] = subprocess.Popen(arguments, cwd=RUN, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            time.sleep(1)
            arguments = [LAB, "load", "plan.yaml", "--quiet", "--out", RUN / "out", "--workers", broker, "--expect", str(len(names))]
            started = subprocess.Popen(arguments, cwd=RUN)
            if kills:
                time.sleep(7)
                workers[kills].kill()
            started.wait()
            for worker in workers.values():
                worker.terminate()
                worker.wait()
            return told(json.loads((RUN / "out/result.json").read_text()))

    log = open(RUN / "nats.log", "w")
    nats = subprocess.Popen(["nats-server", "--addr", "127.0.0.1", "--port", "14222"], stderr=log, stdout=log)
    try:
        time.sleep(0.5)
        for _ in range(table.count):
            table.add("one worker", run(["b1"], 8_000))
            table.add("two workers", run(["b1", "b2"], 16_000))
            table.add("two workers, one killed", run(["b1", "b2"], 8_000, kills="b2"))
    finally:
        nats.terminate()
        nats.wait()
        log.close()
    table.line("two workers, rate", "two workers", "rate", "/s", "one worker", 0)
    for who in list(table.runs):
        accounts_for(who, table)


def row_sign_ins(table):
    """Complete sign-ins, beside what their cryptography alone costs in the same run."""
    for _ in range(table.count):
        arguments = [LAB, "fleet", ROOT / "fleet.yaml", "boot=100x200", "sign-in=8x150", "floor", "--format", "json"]
        arguments += ["--certs", "fleet-certs", "--state", "fleet-state", "--network", "127.30.0.0/16"]
        done = subprocess.run(arguments, cwd=RUN, capture_output=True, text=True)
        stages = {}
        for line in done.stdout.splitlines():
            stage = json.loads(line)
            stages[stage["stage"]] = stage
        table.add("the lab", {**stages["floor"], "failed": sum(stages["sign-in"].get("failed", {}).values())})
    for name in ("a sign-in, ms of CPU, everything", "cryptography of a sign-in, ms of CPU", "share of the floor, %"):
        table.line(name, "the lab", name, "", digits=2)


ROWS = {
    "udp": (row_udp, "REGISTER over UDP without authentication"),
    "digest": (row_digest, "REGISTER over UDP with digest, a challenge each time"),
    "tls": (row_tls, "refresh over TLS connections that stay"),
    "tls-digest": (row_tls_digest, "the same with digest, a challenge each time"),
    "storm": (row_storm, "a storm of TLS connections"),
    "bindings": (row_bindings, "memory per binding"),
    "idle": (row_idle, "memory per idle TLS phone"),
    "growth": (row_growth, "how cost grows"),
    "boot": (row_boot, "100,000 UDP phones boot"),
    "loss": (row_loss, "1 % and 10 % of all datagrams lost: everything is accounted for"),
    "killed": (row_killed, "a server that is killed under load and started again"),
    "workers": (row_workers, "two workers at a NATS server, and one of them killed"),
    "sign-ins": (row_sign_ins, "complete web sign-ins, beside what their cryptography costs"),
}


def prepare():
    if not LAB.exists():
        sys.exit(f"{LAB} is not there: cargo build --release -p lab (or LAB=… in the environment)")
    RUN.mkdir(exist_ok=True)
    for name in ("kamailio.cfg", "tls.cfg"):
        shutil.copy(HERE / name, RUN / name)
    users = "".join(f"load{n:06};[authentication username=load{n:06} password=secret]\n" for n in range(10_000))
    (RUN / "users.csv").write_text("SEQUENTIAL\n" + users)
    if not (RUN / "server.pem").exists():
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
        make += ["-subj", "/CN=contoso.example", "-addext", "subjectAltName=DNS:contoso.example"]
        subprocess.run([*make, "-keyout", "server.key", "-out", "server.pem"], cwd=RUN, check=True, capture_output=True)


def main():
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("rows", nargs="*", metavar="ROW", help="which rows; all if none")
    reader.add_argument("--runs", type=int, default=5, help="how often each is run")
    reader.add_argument("--list", action="store_true", help="print the rows")
    arguments = reader.parse_args()
    if arguments.list:
        for name, (_, what) in ROWS.items():
            print(f"{name:<12} {what}")
        return
    unknown = [name for name in arguments.rows if name not in ROWS]
    if unknown:
        sys.exit(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    prepare()
    print(f"medians of {arguments.runs} runs (lowest–highest)")
    for name in arguments.rows or ROWS:
        measure, what = ROWS[name]
        print(f"{name}: {what}", flush=True)
        table = Table(name, arguments.runs)
        measure(table)
        table.save()


if __name__ == "__main__":
    main()
