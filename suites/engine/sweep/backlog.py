"""The backlog of a run is what it wants and does not have yet. No torch."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from suites.base import Case
from suites.engine.code import code_state
from suites.engine.job import Job
from suites.engine.store.plan import Plan
from suites.engine.store.records import JobLine, Record
from suites.engine.store.runs import RunFolder
from suites.engine.sweep.growth import is_further
from suites.engine.sweep.ledger import Ledger, key_of
from suites.engine.sweep.merging import lines_of, record_of
from suites.engine.sweep.planning import in_order, jobs_of
from suites.settings import METHOD_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A choice says which part of a run is measured now, and what is tried again.

    cases: ids, all of the plan if None. retry: statuses whose jobs are tried again (Ledger). data:
    paths of the user's data, by task. library: the compiled native kernel.
    """

    cases: frozenset[str] | None = None
    retry: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    library: str = ""


class Backlog:
    """A backlog knows the cases and jobs of a run, what was measured of them, and what is missing.

    A record has one code and one identity: what another code found of an unfinished case is
    measured again (`n_outdated` counts it), what another machine found is not looked at.
    """

    def __init__(self, folder: RunFolder, plan: Plan, choice: Choice | None = None) -> None:
        choice = choice or Choice()
        self.folder, self.plan = folder, plan
        self.names = plan.labels()
        self.cases: dict[str, Case] = {
            case_id: entry.case
            for case_id, entry in plan.entries.items()
            if choice.cases is None or case_id in choice.cases
        }
        self.jobs = {
            case_id: jobs_of(case_id, case, plan, choice.data, choice.library)
            for case_id, case in self.cases.items()
        }
        self.code = code_state(plan.device)
        self.records: dict[tuple[str, int], Record] = {}
        self.n_outdated = 0
        self.ledger = self._read(folder, choice.retry)

    def _read(self, folder: RunFolder, retry: Iterable[str]) -> Ledger:
        """Take over the complete records, and return the ledger of all lines that still count."""
        recorded = [
            (record, lines_of(record)) for record in folder.records() if self._is_ours(record)
        ]
        pending = [line for line in folder.job_lines() if self._is_ours(line)]
        current = [line for line in pending if self._is_current(line)]
        known = Ledger([*(line for _, lines in recorded for line in lines), *current], retry)
        counting: list[JobLine] = []
        for record, lines in recorded:
            if self._is_complete(record, known):
                self.records[record["case"], record["seed"]] = record
            elif not self._is_current(record):
                self.n_outdated += len(lines)
                continue
            counting += lines
        outdated = [line for line in pending if not self._is_current(line)]
        self.n_outdated += sum((ln["case"], ln["seed"]) not in self.records for ln in outdated)
        # a sweep that was killed leaves a line in both files: the first one counts
        first: dict[tuple[object, ...], JobLine] = {}
        for line in (*counting, *current):
            first.setdefault((*key_of(line), line["started"]), line)
        return Ledger(first.values(), retry)

    def _is_ours(self, found: Record | JobLine) -> bool:
        """Return whether it is of a case chosen now, of this machine and of these versions."""
        case = self.cases.get(found["case"])
        if case is None or found.get("identity", self.plan.identity) != self.plan.identity:
            return False
        return found.get("versions", {}) == self.plan.versions_of(case.settings)

    def _is_current(self, found: Record | JobLine) -> bool:
        return "code" in found and found["code"]["hash"] == self.code["hash"]

    def _is_complete(self, record: Record, known: Ledger) -> bool:
        if record["status"] in known.retry:
            return False
        # of an older method: it is read, and never continued
        if "jobs" not in record or record["method"] != METHOD_VERSION:
            return True
        return not any(map(known.is_open, self.jobs_of(record["case"], record["seed"])))

    def jobs_of(self, case_id: str, seed: int) -> list[Job]:
        """Return the jobs of a case and seed."""
        return [job for job in self.jobs[case_id] if job.seed == seed]

    def open_jobs(self) -> list[Job]:
        """Return what is left, in order: jobs that must run of cases and seeds without a record."""
        return in_order(
            job
            for jobs in self.jobs.values()
            for job in jobs
            if (job.case_id, job.seed) not in self.records and self.ledger.is_open(job)
        )

    def known_jobs(self, case_id: str) -> list[Job]:
        """Return the jobs of a case, without the further timings that may yet turn out due."""
        known = self.ledger
        return [
            job
            for job in self.jobs[case_id]
            if not is_further(job) or known.tries(job) or known.is_open(job)
        ]

    def may_grow(self) -> bool:
        """Return whether timings of unfinished cases may need more processes than are open now."""
        return any(
            is_further(job) and not self.ledger.tries(job)
            for case_id, jobs in self.jobs.items()
            for job in jobs
            if (case_id, job.seed) not in self.records
        )

    def keep(self, line: JobLine, in_flight: Container[Job]) -> None:
        """Write down what a job found, and the records that are complete with it."""
        self.folder.append_job(line)
        self.ledger.add(line)
        self.write_due([line["case"]], in_flight)

    def write_due(self, case_ids: Iterable[str], in_flight: Container[Job] = ()) -> None:
        """Append the records of these cases whose jobs are all done, once.

        in_flight: jobs that run now; their records wait, whatever other jobs say of the case.
        """
        for case_id in case_ids:
            jobs = self.jobs[case_id]
            seeds = list(dict.fromkeys(job.seed for job in jobs)) or self.plan.seeds[:1]
            for seed in seeds:
                self._write_if_due(case_id, seed, in_flight)

    def _write_if_due(self, case_id: str, seed: int, in_flight: Container[Job]) -> None:
        case, jobs = self.cases[case_id], self.jobs_of(case_id, seed)
        suites, label = list(self.plan.entries[case_id].suites), self.names[case_id]
        record = self.records.get((case_id, seed))
        if record is None:
            if any(job in in_flight or self.ledger.is_open(job) for job in jobs):
                return
            beside = {
                "label": label,
                "suites": suites,
                "identity": self.plan.identity,
                "versions": self.plan.versions_of(case.settings),
            }
            record = record_of(case, seed, jobs, self.ledger, self.code, beside)
        elif record["suites"] == suites:
            return
        else:
            # a case that a further suite now shares keeps its numbers
            record = {**record, "suites": suites}
        self.folder.append_record(record)
        self.records[case_id, seed] = record
