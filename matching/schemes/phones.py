"""Steps for phone numbers. The numbering plans are those of Google's libphonenumber, in its Python port.

double-zero: a leading 00 becomes +.
assume-plus: digits that begin with neither + nor 0 get a +, where no country is declared: conventions that write
numbers without + take them to carry their country code.
e164: the number in E.164 (+, country code, number), with so many digits. Written as digits, spaces and ( ) - . /
alone, a + first where it carries its country code; otherwise the declared country completes it.
drop-plus: the + goes. drop-country-code: the + and the country code go.

Without a + a number is read as one of the declared country. Where that is no number of its plan, and the digits begin
with that country's code, they are read as international: so `65 1243 5678` in Singapore. Where both readings are
numbers of a plan, as `49 151 23456789` in Germany, it is refused. A completed number must be of a length that the plan
knows, with its area code: `867-5309` in the United States could be anybody's. Where the plan's numbers are of many
lengths, and one is written without the 0 (or what its country dials first), its length says nothing: it must be a
number of the plan then. One that carries its code only needs so many digits, as published programs have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..rejects import RejectCode
from .setting import Setting
from .steps import Step

_WRITTEN = re.compile(r"\+?[0-9][0-9 ().\-/]*|\(\+?[0-9][0-9 ().\-/]*|\+ ?\(?[0-9][0-9 ().\-/]*")
_HAS_LETTER = re.compile(r"[^\W\d_]|[#*;,]")


def double_zero(text: str, _: Setting) -> str:
    return f"+{text[2:]}" if text.startswith("00") else text


def assume_plus(text: str, setting: Setting) -> str:
    return text if setting.country or not text[:1].isdigit() or text.startswith("0") else f"+{text}"


def drop_plus(text: str, _: Setting) -> str:
    return text.removeprefix("+")


def drop_country_code(text: str, _: Setting) -> str | RejectCode:
    import phonenumbers

    number = _parsed(text, None)
    return number if isinstance(number, RejectCode) else str(phonenumbers.national_significant_number(number))


def e164(least: int, most: int) -> Step:
    """A step that writes a number in E.164, with `least` to `most` digits."""

    def step(text: str, setting: Setting) -> str | RejectCode:
        if not _WRITTEN.fullmatch(text):
            return RejectCode.LETTERS if _HAS_LETTER.search(text) else RejectCode.NOT_A_PHONE
        found = _international(text) if "+" in text[:2] else _national(text, setting.country)
        if isinstance(found, RejectCode):
            return found
        return found if least <= len(found) - 1 <= most else RejectCode.DIGITS

    return step


def is_region(name: str) -> bool:
    """Whether numbers of a country can be read, by its ISO 3166 code in capitals."""
    import phonenumbers

    return name in phonenumbers.SUPPORTED_REGIONS


def _international(text: str) -> str | RejectCode:
    number = _parsed(text, None)
    return number if isinstance(number, RejectCode) else _written(number)


def _national(text: str, country: str | None) -> str | RejectCode:
    import phonenumbers

    if country is None:
        return RejectCode.NO_COUNTRY
    number = _parsed(text, country)
    if isinstance(number, RejectCode):
        return number
    other = _parsed(f"+{text}", None) if _begins_with_code(text, country) else RejectCode.NOT_A_PHONE
    if not isinstance(other, RejectCode) and other != number:
        if not phonenumbers.is_valid_number(number):
            if _is_whole(other):
                return _written(other)
        elif phonenumbers.is_valid_number(other):
            return RejectCode.AMBIGUOUS
    whole = _is_whole(number) and (_shows_its_area(text, country) or phonenumbers.is_valid_number(number))
    return _written(number) if whole else RejectCode.DIGITS


def _is_whole(number) -> bool:  # type: ignore[no-untyped-def]
    """Whether it is as long as numbers of its plan are, area code and all."""
    import phonenumbers

    possible = phonenumbers.is_possible_number_with_reason(number)
    return bool(possible == phonenumbers.ValidationResult.IS_POSSIBLE)


def _shows_its_area(text: str, country: str) -> bool:
    """Whether a number of a fitting length has an area code: all of the country's are as long, or none has one, or it
    begins with what is dialled before an area code."""
    import phonenumbers

    plan = phonenumbers.PhoneMetadata.metadata_for_region(country)
    lengths = plan.general_desc.possible_length if plan is not None and plan.general_desc is not None else ()
    if plan is None or not plan.national_prefix or len(lengths) == 1:
        return True
    return _digits(text).startswith(plan.national_prefix)


def _begins_with_code(text: str, country: str) -> bool:
    import phonenumbers

    return _digits(text).startswith(str(phonenumbers.country_code_for_region(country)))


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _parsed(text: str, country: str | None):  # type: ignore[no-untyped-def]
    """A `PhoneNumber`, or why it is none: the library's error holds the number."""
    import phonenumbers

    try:
        return phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException as error:
        unknown = error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE
        return RejectCode.UNKNOWN_COUNTRY if unknown else RejectCode.NOT_A_PHONE


def _written(number) -> str:  # type: ignore[no-untyped-def]
    import phonenumbers

    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


STEPS: dict[str, Step] = {
    "double-zero": double_zero,
    "assume-plus": assume_plus,
    "drop-plus": drop_plus,
    "drop-country-code": drop_country_code,
}
BY_DIGITS: dict[str, Callable[[int, int], Step]] = {"e164": e164}
