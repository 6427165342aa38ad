"""The tally of a round, for people. Pure."""

from collections import Counter, defaultdict

from tests.chaos.books import DECISION, LOSS, Books, count_of, folded, lost_reads
from tests.chaos.evidence import Evidence
from tests.chaos.shop import FOLDED


def tally(books: Books) -> list[str]:
    """Lines: requests by what the clients saw, and what the store holds of them."""
    return [*_requests(books.evidence), *_records(books)]


def _requests(evidence: Evidence) -> list[str]:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for asked in evidence.asked:
        seen = "no answer" if asked.status is None else f"{asked.status} {asked.code or ''}".strip()
        table[asked.ask.name][seen] += 1
    lines = [f"  {sum(map(Counter.total, table.values())):,} requests, as the clients saw them"]
    for name in sorted(table):
        told = ", ".join(f"{count} x {seen}" for seen, count in table[name].most_common())
        lines.append(f"    {name:<16} {told}")
    return lines


def _records(books: Books) -> list[str]:
    evidence = books.evidence
    phases = Counter(row.key[1] for row in evidence.rows if row.at("event_type") == DECISION)
    completed = {row.key[0] for row in books.visible if row.key[1] == "completed"}
    unknown = sum(row.key[0] not in completed for row in books.visible if row.key[1] == "decided")
    reasons: Counter[str] = Counter()
    for row in books.visible:
        if row.at("event_type") == LOSS:
            reasons[str(row.at("details", "reason"))] += int(row.at("details", "count"))
    counts = [count_of(row) for _, row in folded(books)]
    refused = sum(a.ask.name in FOLDED and a.status is not None and a.code is not None for a in evidence.asked)
    dead = Counter(row.dead for row in evidence.dead)
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "none"
    twice = "cannot be seen without a topic" if evidence.duplicates is None else f"{evidence.duplicates} in the topic"
    rows, services = len(evidence.rows), sum(map(len, books.domain.values()))
    producers = len({producer for producer, _ in evidence.taken})
    written = ", ".join(f"{phases[phase]} {phase}" for phase in ("single", "decided", "completed"))
    return [
        f"  {rows:,} rows: {written} ({unknown} outcomes unknown), {services} of services",
        f"  {len(evidence.taken)} epochs of {producers} producers; {books.named_count} numbers named missing: {told}",
        f"  {len(lost_reads(books))} buffered records missing of reads that were answered",
        f"  {sum(counts)} strangers' refusals counted in {len(counts)} records, {refused} seen",
        f"  duplicates: {twice}; conflicts: {len(evidence.conflicts)}; dead letters: {dict(dead) or 'none'}",
    ]
