"""Jobs about two matched lists: the people of one owner, and which of them stand on the list of another."""

from __future__ import annotations

from collections.abc import Mapping

from ...dp.canonical import Json
from ...matching.rules import Side
from ..contract import Contract, Name
from ..refused import Refused, Submitted
from ..sentences import counted
from .job import Job


class PairJob(Job):
    """people: whose rows are counted or scored. seed: the list they are held against."""

    people: Name
    seed: Name

    def datasets(self) -> tuple[str, ...]:
        return (self.people, self.seed)

    def refuse(self, contract: Contract, submitted: Mapping[str, Submitted]) -> None:
        """Two owners, and a seed list that is long enough by its public size. Errors: Refused."""
        if contract.dataset[self.people].owner == contract.dataset[self.seed].owner:
            raise Refused("dataset", "people and seed belong to the same owner", "name data sets of two owners")
        for name in (self.people, self.seed):
            if contract.dataset[name].rows == "events":
                rule = f"{name} holds events, in which a person may stand many times"
                raise Refused("dataset", rule, "name a data set of people, or ask a reach of these events")
        refuse_short(contract, self.seed, submitted)

    def protects(self, contract: Contract) -> tuple[Side, ...]:
        """The sides whose records are paid for: those whose owner is not the only reader."""
        readers = contract.readers(tuple(self.recipients))
        sides: tuple[tuple[Side, str], ...] = (("people", self.people), ("seed", self.seed))
        return tuple(side for side, name in sides if readers - {contract.dataset[name].owner})

    def rows_moved(self, contract: Contract) -> int:
        return max((contract.match.bounds.of(side) for side in self.protects(contract)), default=1)

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        """The people are those with columns, where there are any."""
        del size
        people = next((name for name, held in contract.dataset.items() if held.columns), next(iter(contract.dataset)))
        seed = next((name for name in contract.dataset if name != people), people)
        return [f'people = "{people}"', f'seed = "{seed}"']

    def brief(self) -> str:
        return f"{self.seed} among {self.people}"

    def made(self) -> dict[str, Json]:
        return {"people": self.people, "seed": self.seed}


def refuse_short(contract: Contract, dataset: str, submitted: Mapping[str, Submitted]) -> None:
    """A list below the contract's minimum, by its accepted rows, which are public. Errors: Refused."""
    rows, least = submitted[dataset].rows, contract.rules.smallest_seed
    if rows < least:
        rule = f"{dataset} has {counted(rows, 'row')}, at least {least:,} are needed"
        raise Refused("rules.smallest_seed", rule, "submit a longer list")
