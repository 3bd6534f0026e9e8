import pytest

from passbox.matching import schemes
from passbox.matching.schemes import BadScheme, UnknownKind, UnknownScheme, known, load, parse

NAMES = (
    "cm360@1",
    "google-docs@1",
    "google@1",
    "google@2",
    "liveramp@1",
    "meta@1",
    "pair@1",
    "plain@1",
    "snap@1",
    "tiktok@1",
    "uid2@1",
    "x@1",
)
GOOD = """
name = "new@2"
source = "https://example.org"
[email]
encoding = "hex"
steps = [{ do = "trim-spaces" }, { do = "drop-dots", domains = ["gmail.com"] }]
"""


def test_every_published_convention_ships_with_the_package() -> None:
    assert known() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_scheme_says_its_name_its_source_and_its_steps(name: str) -> None:
    scheme = load(name)
    rule = scheme.rule("email")
    assert scheme.name == name
    assert scheme.source.startswith("https://") or name == "plain@1"
    assert rule.names
    assert len(rule.names) == len(rule.steps)
    assert rule.encoding == ("base64" if name == "uid2@1" else "hex")


@pytest.mark.parametrize("name", ["uid2", "uid2@2", "uid2-1", "UID2@1", "", "../uid2@1", "uid2@1.toml", "__init__"])
def test_an_unknown_scheme_is_an_error_that_names_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownScheme) as error:
        load(name)
    assert error.value.name == name
    assert error.value.known == NAMES


def test_a_kind_the_scheme_does_not_cover_is_an_error() -> None:
    with pytest.raises(UnknownKind) as error:
        load("uid2@1").rule("ctv")
    assert (error.value.scheme, error.value.kind, error.value.known) == ("uid2@1", "ctv", ("email", "phone"))


def test_a_scheme_is_data() -> None:
    rule = parse("new-2.toml", GOOD).rule("email")
    assert rule.names == ("trim-spaces", "drop-dots")
    assert rule.apply(" A.b@gmail.com ") == "Ab@gmail.com"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('"new@2"', '"new@3"', "name"),
        ('"new@2"', "7", "name"),
        ("source", "origin", "source"),
        ("[email]", "[fax]", "kind"),
        ('encoding = "hex"', 'encoding = "octal"', "encoding"),
        ('encoding = "hex"', "", "keys"),
        ('encoding = "hex"', 'encoding = "hex"\nextra = 1', "keys"),
        ('{ do = "trim-spaces" }', '{ do = "guess" }', "step"),
        ('{ do = "trim-spaces" }', '{ do = "trim-spaces", domains = ["a"] }', "step"),
        ('{ do = "trim-spaces" }', '"trim-spaces"', "step"),
        (', domains = ["gmail.com"]', "", "step"),
        ('["gmail.com"]', "[]", "step"),
        ('["gmail.com"]', "[1]", "step"),
        ("name =", "name", "not TOML"),
    ],
)
def test_a_scheme_file_that_breaks_the_format_is_refused(old: str, new: str, rule: str) -> None:
    with pytest.raises(BadScheme) as error:
        parse("new-2.toml", GOOD.replace(old, new))
    assert error.value.rule == rule


def test_a_scheme_without_steps_or_kinds_is_refused() -> None:
    with pytest.raises(BadScheme):
        parse("new-2.toml", 'name = "new@2"\nsource = "s"\n[email]\nencoding = "hex"\nsteps = []')
    with pytest.raises(BadScheme):
        parse("new-2.toml", 'name = "new@2"\nsource = "s"')


def test_the_files_lie_inside_the_package() -> None:
    from importlib import resources

    files = {entry.name for entry in resources.files(schemes.__name__).iterdir()}
    assert {"uid2-1.toml", "google-docs-1.toml"} <= files
