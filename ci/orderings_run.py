"""Builds the loom models once with switches for orderings, and runs them with one site weakened
after the other: see `ci/orderings`."""

import argparse
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path

import orderings_sites

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "orderings"
TREE = WORK / "tree"
KNOWN = ROOT / "ci/orderings.toml"

NOTICED, UNNOTICED, UNFINISHED = "noticed", "NOT NOTICED", "NOT FINISHED"
UNREACHED, UNCOMPILED, UNTRIED = "NEVER REACHED", "NOT IN ANY MODEL", "not tried"
# The weaker orderings of each ordering. They allow every execution that it allows.
ALLOWS_MORE = {"Acquire": ["none", "Relaxed"], "Release": ["none", "Relaxed"], "AcqRel": ["none", "Relaxed", "Acquire", "Release"]}


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def fail(*words):
    say("ci/orderings:", *words)
    sys.exit(2)


# The copy


def scan():
    """Returns every source of src/ with its sites, which are numbered."""
    files = sorted((ROOT / "src").rglob("*.rs"))
    sources = {file: orderings_sites.Source(str(file.relative_to(ROOT)), file.read_text()) for file in files}
    of_tests = set()
    for file, source in sources.items():
        home = file.parent if file.name in ("mod.rs", "lib.rs", "main.rs") else file.with_suffix("")
        for module in source.test_modules():
            of_tests |= {other for other in files if other == home / f"{module}.rs" or home / module in other.parents}
    number = 0
    for file, source in sources.items():
        if file in of_tests or source.file.endswith("sync/fault.rs"):
            source.sites = []
        for site in source.sites:
            site.number = number
            number += 1
    return list(sources.values())


def copy(sources):
    """Writes the tree with switches into target/, without touching unchanged files. Returns a hash
    of everything that it is built from."""
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    names = {name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()}
    # The files that the models are built from. The other members are copied because the workspace
    # names them.
    wanted = {name: (ROOT / name).read_bytes() for name in names if not name.startswith(("ci/", ".ci/", "fuzz/"))}
    for lock in ("Cargo.lock", "loom-tests/Cargo.lock"):
        if (ROOT / lock).is_file():
            wanted[lock] = (ROOT / lock).read_bytes()
    for source in sources:
        wanted[source.file] = source.rewritten().encode()
    count = sum(len(source.sites) for source in sources)
    wanted["src/ordering_sites.rs"] = orderings_sites.SWITCH.replace("COUNT", str(count)).encode()
    wanted["src/lib.rs"] += b"\nmod ordering_sites;\n"
    for file in [one for one in TREE.rglob("*") if one.is_file()] if TREE.exists() else []:
        name = str(file.relative_to(TREE))
        if name not in wanted and not name.endswith("Cargo.lock"):
            file.unlink()
    digest = hashlib.sha256()
    for name, content in sorted(wanted.items()):
        file = TREE / name
        if name.startswith(("src/", "loom-tests/")) or name == "Cargo.toml":
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        if not file.exists() or (file.read_bytes() != content and not name.endswith("Cargo.lock")):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return digest.hexdigest()[:16]


def build():
    """Builds the models. Returns their program."""
    say("building the models with switches …")
    started = time.monotonic()
    command = ["cargo", "test", "--release", "--no-run", "--test", "models", "--message-format=json-render-diagnostics"]
    environment = os.environ | {"CARGO_TARGET_DIR": str(WORK / "build")}
    run = subprocess.run(command, cwd=TREE / "loom-tests", env=environment, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        fail("the copy in", TREE, "does not build")
    messages = [json.loads(line) for line in run.stdout.splitlines()]
    [program] = [path for message in messages if (path := message.get("executable"))]
    say(f"built in {time.monotonic() - started:.0f} s")
    return program


# The models


class Model:
    def __init__(self, program, name, preemptions=None):
        self.program, self.name, self.preemptions = program, name, preemptions
        self.title = name
        if preemptions is not None:
            self.title += f" at {preemptions}"
        # Known once `baseline` has run the model.
        self.seconds, self.reaches = 0.0, None

    def run(self, changes, limit, wall=None):
        """Runs the model. Returns its result, its processor time, and the sites that it reached.

        The limit applies to processor time, since other processes may use the machine. A model that
        blocks for ever is ended as well.
        """
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            reached = Path(folder) / "reached"
            environment = {name: value for name, value in os.environ.items() if name != "SLIPRING_FAULT"}
            environment |= {"SLIPRING_WEAKEN": changes, "SLIPRING_REACHED": str(reached), "RUST_BACKTRACE": "0"}
            if self.preemptions is not None:
                environment["SLIPRING_PREEMPTIONS"] = str(self.preemptions)
            command = [self.program, "--exact", self.name, "--nocapture", "--test-threads=1"]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds_allowed = (int(limit), int(limit) + 1)
            with open(Path(folder) / "output", "w+b") as output:
                process = subprocess.Popen(
                    command,
                    env=environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, seconds_allowed),
                )
                try:
                    status = process.wait(min(10 * limit, wall or 10 * limit))
                    status = None if status in (-signal.SIGXCPU, -signal.SIGKILL) else status
                except subprocess.TimeoutExpired:
                    status = None
                finally:
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)
                        process.wait()
                output.seek(0)
                text = output.read().decode(errors="replace")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            sites = {int(line) for line in reached.read_text().split()} if reached.exists() else set()
        if status == 0 and "1 passed" not in text:
            fail(f"{self.title} ran no test:\n{text}")
        return status, how(status, text), seconds, sites, text


def how(status, text):
    """Describes briefly how a model failed."""
    if status in (0, None):
        return ""
    if re.search(r"there is no such thing as an? |SLIPRING_WEAKEN", text):
        fail(f"an invalid ordering, or a bad plan:\n{text[-3000:]}")
    if "Causality violation" in text:
        return "race"
    if "deadlock" in text:
        return "deadlock"
    if "Model exceeded maximum number of branches" in text:
        return "livelock"
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if "panicked at" in line:
            message = next((one.strip() for one in lines[at + 1 :] if one.strip()), "")
            return "assertion: " + re.sub(r"\s+", " ", message)[:80]
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def list_models(program):
    listed = subprocess.run([program, "--list", "--format", "terse"], capture_output=True, text=True, check=True).stdout
    named = [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]
    return [Model(program, name) for name in named if "planted" not in name]


def baseline(model, kept, limit):
    """Runs a model with nothing weakened, unless that was done before. It must pass, and reports the
    sites that it reaches."""
    if model.reaches is not None:
        return
    if model.title not in kept["models"]:
        status, why, seconds, reaches, text = model.run("", limit)
        if status != 0:
            fail(f"{model.title} does not pass with nothing weakened ({why or f'not finished in {limit:.0f} s'}):\n{text[-3000:]}")
        kept["models"][model.title] = [seconds, sorted(reaches)]
        say(f"{model.title}: passes, {seconds:.1f} s, reaches {len(reaches)} sites")
    model.seconds, reaches = kept["models"][model.title]
    model.reaches = set(reaches)


# The weakenings


class Trial:
    """A site with a weakening, and the result of its trial."""

    def __init__(self, site, to):
        self.site, self.to = site, to
        role = f"{site.role} " if site.role else ""
        self.weakening = f"{role}{site.ordering} -> {to}"
        self.changes = f"{site.number}={to}"
        if site.loom_only:
            self.weakening = f"loom's {self.weakening}"
        self.verdict, self.model, self.how, self.note, self.seconds = UNTRIED, "", "", "", 0.0
        self.reason, self.by = None, None

    @property
    def key(self):
        return " | ".join([self.site.file, self.site.function, self.site.call, self.weakening])

    def kept(self):
        return [self.verdict, self.model, self.how, self.note, self.seconds]


def try_out(trial, models, prepare, scores, deadline, model_limit):
    """Runs the trial's model, or all models that reach its site, until one fails."""
    site = trial.site
    if not site.compiled:
        trial.verdict, trial.note = UNCOMPILED, "loom builds have other code there"
        return
    started = time.monotonic()
    for model in [trial.by] if trial.by else models:
        if model.reaches is None and deadline - time.monotonic() <= 1:
            return
        prepare(model)
    those = [model for model in ([trial.by] if trial.by else models) if site.number in model.reaches]
    if not those:
        trial.verdict = UNREACHED
        return

    def likely(model):
        near = 8 * scores[site.call, site.function, model.title] + 3 * scores[site.function, model.title] + scores[site.file, model.title]
        # A long model is worth its time only if it finds more here.
        return near / (1.0 + model.seconds), -model.seconds

    unfinished = []
    for model in sorted(those, key=likely, reverse=True):
        left = deadline - time.monotonic()
        if left <= 1:
            trial.verdict = UNTRIED
            return
        limit = min(max(60.0, 4 * model.seconds), model_limit)
        status, why, _, sites, _ = model.run(trial.changes, limit, left)
        if status is None:
            if deadline - time.monotonic() <= 1:
                trial.verdict = UNTRIED
                return
            unfinished.append(model.title)
            continue
        if site.number not in sites:
            fail(f"{model.title} did not come to {site.place} ({site.call}): is the switch active?")
        if status != 0:
            trial.verdict, trial.model, trial.how = NOTICED, model.title, why
            for name in ((site.call, site.function), (site.function,), (site.file,)):
                scores[(*name, model.title)] += 1
            break
    else:
        trial.verdict = UNFINISHED if unfinished else UNNOTICED
        trial.note = f"{trial.by.title} does not notice" if trial.by else f"{len(those)} models reach it"
        if unfinished:
            trial.note += f"; no end in {', '.join(unfinished)}"
    trial.seconds = time.monotonic() - started


def read_entries():
    """Returns the entries of ci/orderings.toml: those with a reason, and those that name a model."""
    tables = tomllib.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    known, noticed = tables.get("known", []), tables.get("noticed", [])
    for entry in known:
        if not entry.get("reason", "").strip():
            fail(f"{KNOWN.name}: an entry without a reason: {entry}")
    for entry in noticed:
        if not entry.get("by"):
            fail(f"{KNOWN.name}: an entry without a model: {entry}")
    return known, noticed


def find_models(trials, noticed, models):
    """Assigns each trial the model that ci/orderings.toml names. Returns what is wrong there."""
    by_title, wrong = {model.title: model for model in models}, []
    for entry, weakening, those in excused(trials, noticed):
        at = entry.get("preemptions")
        title = entry["by"] if at is None else f"{entry['by']} at {at}"
        if entry["by"] not in by_title:
            wrong.append(f"there is no model {entry['by']}")
            continue
        if title not in by_title:
            usual = by_title[entry["by"]]
            by_title[title] = Model(usual.program, usual.name, at)
        for trial in those:
            trial.by = by_title[title]
    return wrong


def excused(trials, known):
    """Yields each entry, by each weakening that it names, with the trials that it is for."""
    for entry in known:
        weakenings = entry.get("weakening", [])
        weakenings = [weakenings] if isinstance(weakenings, str) else weakenings
        for weakening in weakenings or [None]:
            those = [
                trial
                for trial in trials
                if (trial.site.file, trial.site.function, trial.site.call) == (entry.get("file"), entry.get("function"), entry.get("call"))
                and weakening in (None, trial.weakening)
            ]
            yield entry, weakening, those


def name_of(entry, weakening):
    return f"{entry.get('file')} | {entry.get('function')} | {entry.get('call')} | {weakening or 'any'}"


def excuse(trials, known, complete):
    """Assigns each trial its reason. Returns the entries that no trial needs."""
    stale = []
    for entry, weakening, those in excused(trials, known):
        for trial in those:
            if trial.verdict not in (NOTICED, UNTRIED):
                trial.reason = entry["reason"]
        if complete and not any(trial.verdict not in (NOTICED, UNTRIED) for trial in those):
            stale.append("no longer needed: " + name_of(entry, weakening))
    return stale


def report(trials, stale, took):
    print("| site | fn | call | weakening | verdict | by | how |")
    print("|---|---|---|---|---|---|---|")
    for trial in trials:
        call = trial.site.call.replace("|", "\\|")
        verdict = trial.verdict + (" (known)" if trial.reason else "")
        how_ = trial.how or trial.note
        print(f"| {trial.site.place} | `{trial.site.function}` | `{call}` | {trial.weakening} | {verdict} | {trial.model} | {how_} |")
    counts = Counter(trial.verdict + (", with a reason" if trial.reason else "") for trial in trials)
    print(f"\n{len(trials)} weakenings in {took:.0f} s: " + "; ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    by = Counter(trial.model for trial in trials if trial.model)
    if by:
        print("by model: " + ", ".join(f"{model} {count}" for model, count in by.most_common()))
    for entry in stale:
        print(f"{KNOWN.name}: {entry}")
    (WORK / "verdicts.json").write_text(
        json.dumps(
            [
                {
                    "file": trial.site.file,
                    "line": trial.site.line,
                    "column": trial.site.column,
                    "function": trial.site.function,
                    "call": trial.site.call,
                    "operation": trial.site.kind,
                    "ordering": trial.site.ordering,
                    "weakening": trial.weakening,
                    "verdict": trial.verdict,
                    "model": trial.model,
                    "how": trial.how,
                    "note": trial.note,
                    "seconds": round(trial.seconds, 2),
                    "reason": trial.reason,
                }
                for trial in trials
            ],
            indent=1,
        )
    )


def main():
    parser = argparse.ArgumentParser(prog="ci/orderings")
    parser.add_argument("--only", metavar="REGEX", help="only the sites whose 'file:line:column fn call' matches")
    parser.add_argument("--models", metavar="REGEX", help="only the models whose 'file::name' matches")
    parser.add_argument("--limit", type=float, default=7200, metavar="SECONDS", help="for all of it (7200)")
    parser.add_argument("--model-limit", type=float, default=300, metavar="SECONDS", help="for one run of one model (300)")
    parser.add_argument("--all", action="store_true", help="also the weakenings that have a reason in ci/orderings.toml")
    parser.add_argument("--named", action="store_true", help="only the weakenings for which ci/orderings.toml names a model")
    parser.add_argument("--undecided", action="store_true", help="only the weakenings for which ci/orderings.toml names neither a reason nor a model")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier calls found")
    parser.add_argument("--list", action="store_true", help="print the sites and stop")
    options = parser.parse_args()

    # This also ends the running model.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    started = time.monotonic()
    sources = scan()
    sites = [site for source in sources for site in source.sites]
    chosen = [site for site in sites if not options.only or re.search(options.only, f"{site.place} {site.function} {site.call}")]
    trials = [Trial(site, to) for site in chosen for to in site.weakenings]
    known, noticed = read_entries()
    stale = []
    if not options.only:
        entries = [*excused(trials, known), *excused(trials, noticed)]
        stale = ["is for no site: " + name_of(entry, weakening) for entry, weakening, those in entries if not those]
    explained = {trial.key for _, _, those in excused(trials, known) for trial in those}
    with_model = {trial.key for _, _, those in excused(trials, noticed) for trial in those}
    if not options.all:
        trials = [trial for trial in trials if trial.key not in explained]
    if options.named:
        trials = [trial for trial in trials if trial.key in with_model]
    if options.undecided:
        trials = [trial for trial in trials if trial.key not in with_model]
    if options.list:
        for trial in trials:
            absent = "" if trial.site.compiled else " (not compiled under loom)"
            print(f"{trial.site.place} | {trial.site.function} | {trial.site.call} | {trial.weakening}{absent}")
        print(f"{len(chosen)} sites, {len(trials)} weakenings; {len(explained)} have a reason, and {len(with_model)} a model")
        for entry in stale:
            print(f"{KNOWN.name}: {entry}")
        return 0
    if not trials:
        say("no weakening is left to try")
        return 1 if stale else 0

    WORK.mkdir(parents=True, exist_ok=True)
    digest = copy(sources)
    program = build()
    preemptions = os.environ.get("SLIPRING_PREEMPTIONS", "default")
    # A result belongs to one source tree, one bound of preemptions, and one selection of models.
    run = f"{digest} preemptions={preemptions} models={options.models or 'all'}"
    results = WORK / f"results-{hashlib.sha256(run.encode()).hexdigest()[:8]}.json"
    kept = json.loads(results.read_text()) if results.exists() and not options.fresh else {}
    kept = kept if kept.get("run") == run else {"run": run, "models": {}, "trials": {}}

    def keep():
        results.with_suffix(".new").write_text(json.dumps(kept))
        results.with_suffix(".new").replace(results)

    models = [model for model in list_models(program) if not options.models or re.search(options.models, model.title)]
    if not models:
        fail("no model matches")
    stale += find_models(trials, noticed if not options.models else [], models)

    def prepare(model):
        baseline(model, kept, options.model_limit)
        keep()

    scores, before = Counter(), {}
    deadline = started + options.limit
    for at, trial in enumerate(trials, 1):
        site = trial.site
        kept_as = f"{trial.key} | {trial.by.title if trial.by else 'any model'}"
        if kept_as in kept["trials"]:
            trial.verdict, trial.model, trial.how, trial.note, trial.seconds = kept["trials"][kept_as]
            if trial.model:
                for name in ((site.call, site.function), (site.function,), (site.file,)):
                    scores[(*name, trial.model)] += 1
        elif not trial.by and (weaker := [to for to in ALLOWS_MORE.get(trial.to, []) if before.get((site.number, to)) in (UNNOTICED, UNREACHED)]):
            trial.verdict, trial.note = before[site.number, weaker[0]], f"as {weaker[0]}"
        else:
            try_out(trial, models, prepare, scores, deadline, options.model_limit)
        before[site.number, trial.to] = trial.verdict
        # A trial that did not finish may do so with a higher limit.
        if trial.verdict not in (UNTRIED, UNFINISHED):
            kept["trials"][kept_as] = trial.kept()
            keep()
        by = f" by {trial.model} ({trial.how})" if trial.model else f" ({trial.note})" if trial.note else ""
        say(f"[{at}/{len(trials)}] {site.place} {site.function}: {trial.weakening}: {trial.verdict}{by}, {trial.seconds:.0f} s")

    everything = options.all and not options.only and not options.models
    stale += excuse(trials, known, everything and not any(trial.verdict == UNTRIED for trial in trials))
    report(trials, stale, time.monotonic() - started)
    if stale or any(trial.verdict not in (NOTICED, UNTRIED) and not trial.reason for trial in trials):
        return 1
    return 3 if any(trial.verdict == UNTRIED for trial in trials) else 0


if __name__ == "__main__":
    sys.exit(main())
