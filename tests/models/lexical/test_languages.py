"""A corpus's language is found where it is clear; each language has a stemmer and function words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import Stemmer

from lurcher.errors import FieldError
from lurcher.folding import folded
from lurcher.models.lexical import languages
from lurcher.models.lexical.languages import (
    LANGUAGES,
    detect_language,
    function_words,
    parse_language,
)

SAMPLES = {
    "arabic": "ذهب الولد إلى السوق مع أخيه في الصباح، ثم عاد إلى البيت بعد أن اشترى كل ما كان على القائمة.",
    "danish": "Vi gik en tur ned til havnen i går, men det regnede så meget, at vi ikke blev der længe.",
    "dutch": "De brug over de rivier is door de storm beschadigd en is pas in het voorjaar weer open.",
    "english": "The old bridge was closed after the storm, and it will not be opened until the spring.",
    "finnish": "Silta on suljettu myrskyn jälkeen, eikä se ole auki ennen kevättä, koska sitä ei korjattu.",
    "french": "Le vieux pont est fermé depuis la tempête et ne sera pas ouvert avant la fin du printemps.",
    "german": "Die alte Brücke ist seit dem Sturm gesperrt und wird erst im Frühjahr wieder geöffnet.",
    "greek": "Η παλιά γέφυρα έκλεισε μετά την καταιγίδα και δεν θα ανοίξει πριν από την άνοιξη.",
    "hindi": "पुराना पुल तूफान के बाद बंद कर दिया गया है और यह वसंत से पहले नहीं खोला जाएगा।",
    "hungarian": "A régi hidat a vihar után lezárták, és nem nyitják meg, amíg nem készül el az új.",
    "italian": "Il vecchio ponte è chiuso dopo la tempesta e non sarà aperto prima della fine dell'inverno.",
    "norwegian": "Vi gikk en tur ned til havnen i går, men det regnet så mye at vi ikke ble der lenge.",
    "portuguese": "A velha ponte foi fechada depois da tempestade e não será aberta antes do fim do inverno.",
    "romanian": "Podul cel vechi este închis după furtună și nu va fi deschis până la sfârșitul iernii.",
    "russian": "Старый мост закрыт после бури, и его не откроют до весны, потому что он еще не построен.",
    "spanish": "El viejo puente está cerrado desde la tormenta y no se abre hasta el final del invierno.",
    "swedish": "Den gamla bron är stängd efter stormen och kommer inte att öppnas förrän i vår, om det går.",
    "turkish": "Eski köprü fırtınadan sonra kapatıldı ve ilkbahara kadar açılmayacak, çünkü çok tehlikeli.",
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES[:-1])
def test_a_language_is_found_by_its_function_words(language: str) -> None:
    assert detect_language([SAMPLES[language]]) == language
    assert detect_language([SAMPLES[language].upper()] * 3) == language


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["", "Pont Neuf", "the of and"],  # too short to tell
        SAMPLES.values(),
        [SAMPLES["english"], SAMPLES["german"]],
        ["BC-547B NPN 45 V 100 mA TO-92", "SN74HC595N shift register 8 bit DIP-16 2-6 V"] * 5,
        ["for i in range(n): x = f(i); y[i] = g(x) + h(x, i)\nreturn sorted(y, key=len)"] * 5,
        ["東京は日本の首都です。人口は約千四百万人です。", "แม่น้ำไหลผ่านเมืองและไหลลงสู่ทะเล"],
        ["Cây cầu cũ đã bị đóng cửa sau cơn bão và sẽ không mở lại trước mùa xuân năm sau."],
    ],
    ids=["none", "short", "all", "two", "parts", "code", "unspaced", "without_a_list"],
)
def test_no_language_where_it_is_not_clear(texts: list[str]) -> None:
    assert detect_language(texts) == "none"


def test_a_few_texts_in_another_language_change_nothing() -> None:
    assert detect_language([SAMPLES["english"]] * 9 + [SAMPLES["german"]]) == "english"


@pytest.mark.parametrize(
    ("text", "language"),
    [("english", "english"), (" German ", "german"), ("FR", "french"), ("nn", "norwegian")]
    + [(name, name) for name in LANGUAGES],
)
def test_a_language_is_named_in_english_or_by_its_code(text: str, language: str) -> None:
    assert parse_language(text) == language


@pytest.mark.parametrize("text", ["", "klingon", "e", "english,german"])
def test_an_unknown_language_is_refused_with_all_that_there_are(text: str) -> None:
    with pytest.raises(FieldError) as error:
        parse_language(text)
    assert error.value.field == "language"
    assert repr(text) in error.value.reason
    for language in LANGUAGES:
        assert language in error.value.reason


@pytest.mark.parametrize("language", LANGUAGES[:-1])
def test_a_language_has_a_stemmer_and_some_hundred_function_words(language: str) -> None:
    assert language in Stemmer.algorithms()
    words = function_words(parse_language(language))
    assert 100 <= len(words) <= 200
    assert words == {folded(word) for word in words}


def test_no_list_is_left_without_its_language() -> None:
    folder = Path(languages.__file__).parent / "function_words"
    assert {path.stem for path in folder.iterdir()} == set(LANGUAGES[:-1])


def test_languages_of_public_passages_are_found(data: Path) -> None:
    expected = {
        "ar": "arabic", "de": "german", "el": "greek", "en": "english", "es": "spanish", "hi": "hindi",
        "ro": "romanian", "ru": "russian", "th": "none", "tr": "turkish", "vi": "none", "zh": "none",
    }  # fmt: skip
    texts: dict[str, list[str]] = {code: [] for code in expected}
    for line in (data / "xquad" / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
        passage = json.loads(line)
        texts[passage["_id"][:2]].append(passage["text"])
    assert {code: detect_language(some) for code, some in texts.items()} == expected
    assert detect_language(text for some in texts.values() for text in some) == "none"
