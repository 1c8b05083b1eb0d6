"""Finds the memory orderings and fences of Rust sources, and rewrites each into a run-time switch.

This is a lexer for the needs of `ci/orderings`, not a parser of Rust. It masks comments and
literals, matches brackets, evaluates `#[cfg]`, and knows the names of the atomic operations. It
reports orderings that it cannot place instead of dropping them.
"""

import re
from dataclasses import dataclass, field

STRONG = ("Acquire", "Release", "AcqRel", "SeqCst")
RMW = {"swap", "compare_and_swap", "fetch_add", "fetch_sub", "fetch_or", "fetch_and", "fetch_xor", "fetch_nand", "fetch_max", "fetch_min"}
CAS = {"compare_exchange", "compare_exchange_weak"}
UPDATE = {"fetch_update", "try_update", "update"}
OPERATIONS = {"load", "store"} | RMW | CAS | UPDATE

# The weakest comes first: if no model fails with it, none fails with the others.
WEAKER = {
    ("load", "SeqCst"): ["Relaxed", "Acquire"],
    ("load", "Acquire"): ["Relaxed"],
    ("store", "SeqCst"): ["Relaxed", "Release"],
    ("store", "Release"): ["Relaxed"],
    ("rmw", "SeqCst"): ["Relaxed", "Acquire", "Release", "AcqRel"],
    ("rmw", "AcqRel"): ["Relaxed", "Acquire", "Release"],
    ("rmw", "Acquire"): ["Relaxed"],
    ("rmw", "Release"): ["Relaxed"],
    ("fence", "SeqCst"): ["none", "AcqRel"],
    ("fence", "AcqRel"): ["none", "Acquire", "Release"],
    ("fence", "Acquire"): ["none"],
    ("fence", "Release"): ["none"],
    # The operation of an ordering was not found. Relaxed is valid for every operation.
    ("unknown", "SeqCst"): ["Relaxed"],
    ("unknown", "AcqRel"): ["Relaxed", "Acquire", "Release"],
    ("unknown", "Acquire"): ["Relaxed"],
    ("unknown", "Release"): ["Relaxed"],
}


@dataclass
class Site:
    file: str
    line: int
    column: int
    function: str
    call: str
    """The source text of the call, with white space collapsed."""
    kind: str
    """load, store, rmw, fence, or unknown."""
    role: str
    """success or failure, for an operation with two orderings."""
    ordering: str
    start: int
    end: int
    compiled: bool
    """Whether a loom build compiles the site."""
    loom_only: bool = False
    """Whether only a loom build compiles the site."""
    number: int = -1
    weakenings: list = field(default_factory=list)

    @property
    def place(self):
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def key(self):
        return (self.file, self.function, self.call, self.role)


def mask(text):
    """Returns the text with comments, strings and characters blanked, with the same length and the
    same lines."""
    out = list(text)

    def blank(start, end):
        for at in range(start, end):
            if out[at] != "\n":
                out[at] = " "

    at = 0
    raw = re.compile(r'(?:b|c)?r(#*)"')
    character = re.compile(r"b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^\\'\n])'")
    while at < len(text):
        if text.startswith("//", at):
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            blank(at, end)
            at = end
        elif text.startswith("/*", at):
            depth, end = 1, at + 2
            while depth and end < len(text):
                if text.startswith("/*", end):
                    depth, end = depth + 1, end + 2
                elif text.startswith("*/", end):
                    depth, end = depth - 1, end + 2
                else:
                    end += 1
            blank(at, end)
            at = end
        elif (found := raw.match(text, at)) and not (at and (text[at - 1].isalnum() or text[at - 1] == "_")):
            close = '"' + found.group(1)
            end = text.find(close, found.end())
            end = len(text) if end < 0 else end + len(close)
            blank(at, end)
            at = end
        elif text[at] == '"':
            end = at + 1
            while end < len(text) and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            # Keep the quotes, so that `""` is still an expression.
            blank(at + 1, min(end, len(text)))
            at = end + 1
        elif found := character.match(text, at):
            blank(at, found.end())
            at = found.end()
        else:
            at += 1
    return "".join(out)


def brackets(masked):
    """Returns each bracket's partner, in both directions, and each opening bracket's parent."""
    partner, stack, parent = {}, [], {}
    for at, char in enumerate(masked):
        if char in "([{":
            parent[at] = stack[-1] if stack else None
            stack.append(at)
        elif char in ")]}" and stack:
            partner[at] = stack[-1]
            partner[stack.pop()] = at
    return partner, parent


def evaluate(cfg, known):
    """Evaluates a cfg expression to True, False, or None if it depends on an unknown option."""
    cfg = cfg.strip()
    found = re.match(r"(any|all|not)\s*\((.*)\)$", cfg, re.S)
    if not found:
        return known.get(re.sub(r"\s", "", cfg))
    parts, depth, start = [], 0, 0
    inner = found.group(2)
    for at, char in enumerate(inner + ","):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            if inner[start:at].strip():
                parts.append(evaluate(inner[start:at], known))
            start = at + 1
    match found.group(1):
        case "not":
            return None if parts[0] is None else not parts[0]
        case "all":
            return False if False in parts else None if None in parts else True
        case _:
            return True if True in parts else None if None in parts else False


ITEM = re.compile(r"(?:pub|fn|impl|mod|struct|enum|union|static|const|use|unsafe|trait|type|macro_rules|extern|async)\b")


def extent(masked, partner, at):
    """Returns the end of what follows an attribute: an item, a statement, an expression, an arm or a
    field."""
    while True:
        while at < len(masked) and masked[at].isspace():
            at += 1
        if masked.startswith("#[", at):
            at = partner.get(at + 1, len(masked) - 1) + 1
        else:
            break
    item = ITEM.match(masked, at)
    start = at
    while at < len(masked):
        char = masked[at]
        if char in "([{":
            closing = partner.get(at, len(masked) - 1)
            at = closing + 1
            if char == "{" and (item or masked[start:at].lstrip().startswith("{")):
                return start, at
        elif char in ")]}":
            return start, at
        elif char == ";" or (char == "," and not item):
            return start, at + 1
        else:
            at += 1
    return start, at


def regions(text, masked, partner, known):
    """Returns the ranges that a cfg removes under these known values."""
    gone = []
    for found in re.finditer(r"#\[\s*cfg\s*\(", masked):
        opening = found.end() - 1
        closing = partner.get(opening)
        # Use the original text, because a feature's name is a string.
        if closing is None or evaluate(text[opening + 1 : closing], known) is not False:
            continue
        bracket = masked.index("[", found.start())
        gone.append(extent(masked, partner, partner.get(bracket, closing) + 1))
    return gone


def functions(masked, partner):
    """Returns the name, the start and the end of each function with a body."""
    found_all = []
    for found in re.finditer(r"\bfn\s+(\w+)", masked):
        at = found.end()
        while at < len(masked) and masked[at] not in "{;":
            at = partner.get(at, at) + 1 if masked[at] in "([" else at + 1
        if at < len(masked) and masked[at] == "{":
            found_all.append((found.group(1), found.start(), partner.get(at, len(masked))))
    return found_all


def receiver(masked, partner, at):
    """Returns the start of the chain of names, calls and dots that ends before `at`."""
    while True:
        back = at
        while back > 0 and masked[back - 1].isspace():
            back -= 1
        if back != at and masked[at : at + 1] not in (".", "?"):
            return at
        if back > 0 and masked[back - 1] in ")]":
            at = partner.get(back - 1, back - 1)
        elif back > 0 and (masked[back - 1].isalnum() or masked[back - 1] == "_"):
            start = back
            while start > 0 and (masked[start - 1].isalnum() or masked[start - 1] == "_"):
                start -= 1
            if masked[start:back] in ("return", "let", "if", "while", "match", "in", "else", "mut", "move"):
                return at
            at = start
        elif back > 0 and masked[back - 1] in ".?":
            at = back - 1
        elif back > 1 and masked[back - 2 : back] == "::":
            at = back - 2
        else:
            return at


class Source:
    """The sites of a file."""

    def __init__(self, file, text, shipped=True):
        self.file, self.text = file, text
        self.masked = mask(text)
        self.partner, self.parent = brackets(self.masked)
        self.functions = functions(self.masked, self.partner)
        nothing = {"test": False, "doctest": False, "doc": False}
        self.tests = regions(text, self.masked, self.partner, nothing)
        self.absent = regions(text, self.masked, self.partner, nothing | {"loom": True, "miri": False, "slipring_faults": False})
        self.loom_only = regions(text, self.masked, self.partner, nothing | {"loom": False})
        self.uses = [(one.start(), one.end()) for one in re.finditer(r"\buse\b[^;]*;", self.masked)]
        self.sites = self.find() if shipped else []

    def test_modules(self):
        """Returns the names of the test-only modules with files of their own."""
        return [one.group(1) for start, end in self.tests if (one := re.match(r"(?:pub\S*\s+)?mod\s+(\w+)\s*;", self.masked[start:end]))]

    def function(self, at):
        inside = [one for one in self.functions if one[1] <= at < one[2]]
        return max(inside, key=lambda one: one[1]) if inside else None

    def within(self, at, parts):
        return any(start <= at < end for start, end in parts)

    def opening(self, at):
        """Returns the innermost bracket that is open at a position."""
        depth = 0
        for back in range(at - 1, -1, -1):
            if self.masked[back] in ")]}":
                depth += 1
            elif self.masked[back] in "([{":
                if depth == 0:
                    return back
                depth -= 1
        return None

    def argument(self, opening, at):
        """Returns the number of the call's argument at a position."""
        number, here = 0, opening + 1
        while here < at:
            if self.masked[here] in "([{":
                here = self.partner.get(here, here)
            elif self.masked[here] == ",":
                number += 1
            here += 1
        return number

    def operation(self, at):
        """Returns the atomic operation around a position: its name, the number of its argument, and
        the start and the end of the call."""
        opening = self.opening(at)
        function = self.function(at)
        while opening is not None and (function is None or opening > function[1]):
            name = re.search(r"(\w+)\s*(?:::\s*<[^<>]*>\s*)?$", self.masked[:opening])
            if self.masked[opening] == "(" and name and name.group(1) in OPERATIONS:
                start = receiver(self.masked, self.partner, name.start())
                return name.group(1), self.argument(opening, at), start, self.partner[opening] + 1
            opening = self.parent.get(opening)
        return None

    def by_name(self, at):
        """Returns the operation that an ordering reaches through `let name = …`, and the text that
        identifies the site."""
        statement = max(self.masked.rfind(char, 0, at) for char in ";{}")
        found = re.match(r"\s*let\s+(?:mut\s+)?(\w+)[^=]*=", self.masked[statement + 1 : at])
        function = self.function(at)
        if not found or not function:
            return None
        for use in re.finditer(rf"\b{found.group(1)}\b", self.masked[at : function[2]]):
            if operation := self.operation(at + use.start()):
                return operation[0], operation[1]
        return None

    def snippet(self, start, end):
        """Returns the source text between two positions on one line, without comments."""
        kept = "".join(a if b != " " or a in " \"" or self.masked[i] == a else b for i, (a, b) in
                       enumerate(zip(self.text[start:end], self.masked[start:end]), start))
        kept = re.sub(r"\s+", " ", kept).strip()
        return re.sub(r"\s+(?=[.?)])|(?<=[(.])\s+", "", kept)

    def kind(self, name, argument):
        if name in ("load", "store"):
            return name, ""
        if name in CAS:
            return ("rmw", "success") if argument == 2 else ("load", "failure")
        if name in UPDATE:
            return ("rmw", "success") if argument == 0 else ("load", "failure")
        return "rmw", ""

    def site(self, start, end, call, kind, role, ordering):
        function = self.function(start)
        line = self.text.count("\n", 0, start) + 1
        column = start - (self.text.rfind("\n", 0, start) + 1) + 1
        weakenings = list(WEAKER[kind, ordering])
        return Site(self.file, line, column, function[0] if function else "-", call, kind, role, ordering, start, end,
                    not self.within(start, self.absent), self.within(start, self.loom_only), weakenings=weakenings)

    def skipped(self, at):
        return self.within(at, self.tests) or self.within(at, self.uses)

    def find(self):
        sites, inside = [], []
        for found in re.finditer(r"(?<![\w:])((?:\w+\s*::\s*)*)(fence)\s*\(", self.masked):
            opening = found.end() - 1
            if self.skipped(found.start()) or re.search(r"\bfn\s+$", self.masked[: found.start()]):
                continue
            end = self.partner[opening] + 1
            ordering = re.search(r"\b(Acquire|Release|AcqRel|SeqCst)\b", self.masked[opening:end])
            one = self.site(found.start(), end, self.snippet(found.start(), end), "fence", "", ordering.group(1) if ordering else "SeqCst")
            inside.append((opening, end))
            sites.append(one)
        bare = re.search(r"\buse\b[^;]*\bOrdering\s*::\s*(?:\{|\*|Acq|Rel|Seq)", self.masked)
        for found in re.finditer(r"(?<![\w:])((?:\w+\s*::\s*)*)(Acquire|Release|AcqRel|SeqCst)\b", self.masked):
            path = re.sub(r"\s", "", found.group(1))
            if not (path.endswith("Ordering::") or (bare and not path)):
                continue
            start, end = found.span()
            if self.skipped(start) or self.within(start, inside) or re.match(r"\s*=>", self.masked[end:]):
                continue
            operation = self.operation(start)
            if operation:
                name, argument, call_start, call_end = operation
                one = self.site(start, end, self.snippet(call_start, call_end), *self.kind(name, argument), found.group(2))
            else:
                call_start, call_end = start, end
                opening = self.opening(start)
                if opening is not None and self.masked[opening] == "(" and re.search(r"\w\s*$", self.masked[:opening]):
                    name = re.search(r"(\w+)\s*$", self.masked[:opening])
                    call_start, call_end = receiver(self.masked, self.partner, name.start()), self.partner[opening] + 1
                reached = self.by_name(start)
                kind = self.kind(*reached) if reached else ("unknown", "")
                one = self.site(start, end, self.snippet(call_start, call_end), *kind, found.group(2))
            sites.append(one)
        sites.sort(key=lambda one: one.start)
        seen = {}
        for one in sites:
            seen[one.key] = seen.get(one.key, 0) + 1
            if seen[one.key] > 1:
                one.call += f" #{seen[one.key]}"
        return sites

    def rewritten(self):
        """Returns the source with each site behind its switch."""
        text = self.text
        for one in sorted((site for site in self.sites if site.compiled), key=lambda one: one.start, reverse=True):
            inner = text[one.start : one.end]
            if one.kind == "fence":
                inner = f"crate::ordering_sites::fence({one.number}, || {{ {inner}; }})"
            else:
                inner = f"crate::ordering_sites::ordering({one.number}, {inner})"
            text = text[: one.start] + inner + text[one.end :]
        return text


SWITCH = '''//! The switches of `ci/orderings`: each site asks here which ordering it is to use.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

const SITES: usize = COUNT;

#[derive(Clone, Copy)]
enum Change {
    None,
    To(Ordering),
    LeftOut,
}

static PLAN: OnceLock<[Change; SITES]> = OnceLock::new();
static REACHED: [AtomicBool; SITES] = [const { AtomicBool::new(false) }; SITES];

/// The whole process runs with one plan: `SLIPRING_WEAKEN=17=Relaxed,18=none`.
fn plan() -> &'static [Change; SITES] {
    PLAN.get_or_init(|| {
        let mut plan = [Change::None; SITES];
        let Ok(changes) = std::env::var("SLIPRING_WEAKEN") else { return plan };
        for change in changes.split(',').filter(|change| !change.is_empty()) {
            let (site, to) = change.split_once('=').expect("SLIPRING_WEAKEN is SITE=ORDERING");
            plan[site.parse::<usize>().expect("a site is a number")] = match to {
                "Relaxed" => Change::To(Ordering::Relaxed),
                "Acquire" => Change::To(Ordering::Acquire),
                "Release" => Change::To(Ordering::Release),
                "AcqRel" => Change::To(Ordering::AcqRel),
                "none" => Change::LeftOut,
                _ => panic!("SLIPRING_WEAKEN: there is no ordering {to}"),
            };
        }
        plan
    })
}

/// Notes the first time that the process comes to a site.
fn note(site: usize) {
    if !REACHED[site].swap(true, Ordering::Relaxed) && let Some(path) = std::env::var_os("SLIPRING_REACHED") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the list of reached sites");
        writeln!(file, "{site}").expect("the list of reached sites");
    }
}

pub(crate) fn ordering(site: usize, shipped: Ordering) -> Ordering {
    note(site);
    match plan()[site] {
        Change::None => shipped,
        Change::To(ordering) => ordering,
        Change::LeftOut => panic!("SLIPRING_WEAKEN: an ordering cannot be left out"),
    }
}

pub(crate) fn fence(site: usize, shipped: impl FnOnce()) {
    note(site);
    match plan()[site] {
        Change::None => shipped(),
        Change::To(ordering) => ::loom::sync::atomic::fence(ordering),
        Change::LeftOut => {}
    }
}
'''
