"""Keys: a party's own, and shares of the match key."""

from __future__ import annotations

from typing import Any

from ..explanation import BAD_INPUT, REFUSED, SIGNATURE, Explanation, Words, placed, simple


def _share(error: Any) -> Explanation:
    words = {
        "missing": f"the share of the match key of {error.party} is missing",
        "sealed-to-others": f"the share of {error.party} is not sealed to these keys",
        "malformed": f"the file of {error.party} is no share of a match key",
        "of-another": f"the share of {error.party} was made for another contract or by another party",
    }
    return Explanation(
        "match-key",
        words[error.reason],
        f"ask {error.party} for contract.toml.{error.party}.share and put it beside the contract",
        SIGNATURE,
    )


WORDS: dict[str, Words] = {
    "ShareUnusable": _share,
    "BadShare": simple("match-key", "the share of {e.party} cannot be used", "ask {e.party} to sign again", SIGNATURE),
    "TooFewShares": simple(
        "match-key", "a match key takes shares of two parties", "a contract needs two owners of data", REFUSED
    ),
    "KeysUnusable": placed("keys", BAD_INPUT),
    "AgentUnable": placed("keys", BAD_INPUT),
    "BadKey": simple("keys", "a key cannot be used", "use an Ed25519 key", BAD_INPUT),
    "NotMyKeys": simple(
        "not-my-keys",
        "{e.key} of this contract is not the key of {e.party}: somebody else could open what is sealed to it",
        "do not sign it; send your card to whoever drafts the contract, and ask for a draft with your own keys",
        SIGNATURE,
    ),
    "NotTheOwner": simple(
        "not-the-owner",
        "these keys are not those of {e.owner}, who owns {e.dataset}",
        "use the owner's `--key`",
        BAD_INPUT,
    ),
    "NoParty": simple(
        "unknown-party",
        "these keys belong to no party of the contract",
        "`passbox contract show` names them",
        BAD_INPUT,
    ),
}
