"""A highlight is found in any script and any form of a letter, at offsets of the text as it is stored."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.folding import folded
from lurcher.retrieval.highlights import best_sentence, best_sentences, query_words
from lurcher.text import sentences

THAI = ("แม่น้ำไหลผ่านเมืองและไหลลงสู่ทะเลทางใต้ของประเทศ", "ชาวนาปลูกข้าวในฤดูฝนและเก็บเกี่ยวในฤดูหนาว")
LAO = ("ແມ່ນ້ຳໄຫຼຜ່ານເມືອງແລະໄຫຼລົງສູ່ທະເລທາງໃຕ້", "ຊາວນາປູກເຂົ້າໃນລະດູຝົນແລະເກັບກ່ຽວໃນລະດູໜາວ")


@pytest.mark.parametrize(
    ("query", "before", "sentence", "after"),
    [
        # Chinese, Japanese: no blanks, marks of their own.
        ("黄河 船夫", "黄河发源于青海高原。它是第二长的河流。", "许多船夫住在黄河边。", ""),
        ("面積", "大阪は西日本の都市です。", "面積は約二百二十五です。", "冬は寒いです。"),
        # Hindi, Urdu: blanks, and a danda or a full stop of its own.
        ("नीला समुद्र", "मुंबई बड़ा शहर है। ", "यहाँ नीला समुद्र है।", " बारिश तेज होती है।"),
        ("پرانا قلعہ", "ملتان ایک شہر ہے۔ ", "یہاں پرانا قلعہ ہے۔", " گرمی بہت ہے۔"),
        # Composed in the query, decomposed in the text, and the other way round.
        ("th\u00e9", "", "Le the\u0301 est fume\u0301.", " Le pain est bon."),
        ("the\u0301", "Le pain est bon. ", "Le th\u00e9 est fum\u00e9.", ""),
        # Khmer, Burmese.
        ("សៀមរាប", "ទឹកហូរ។ ", "សៀមរាបជាទីក្រុងស្អាត។", " ចប់។"),
        ("မန္တလေး", "မိုးရွာ။ ", "မန္တလေးမြို့လှသည်။", " ပြီး။"),
        # Korean: particles follow the word, in the query as well.
        ("부산", "서울은 크다. ", "항구는 부산이다.", " 끝났다."),
        ("부산의 항구", "서울은 크다. ", "부산은 좋다.", " 끝났다."),
    ],
)
def test_span_of_code_points_in_the_text_as_stored(
    query: str, before: str, sentence: str, after: str
) -> None:
    span = (len(before), len(before) + len(sentence))
    assert best_sentences(query, [before + sentence + after]) == [span]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("مكتبة", "هذه مَكْتَبَةٌ كبيرة."),  # without vowels, and with
        ("مـكـتـبة", "هذه مكتبة كبيرة."),  # drawn out
        ("אלון", "עץ אַלּוֹן גדול."),
        ("sorok", "Sórók vagyunk."),
        ("Ёлка", "Большая елка."),
        ("ΑΘΗΝΑ", "Η Αθήνα είναι εδώ."),
        ("valve", "The ｖａｌｖｅ opens."),  # full width
        ("ＶＡＬＶＥ", "The valve opens."),
        ("fluffy", "A ﬂuﬀy dog."),  # ligatures
        ("insulation", "The in\u00adsu\u00adla\u00adtion holds."),  # soft hyphens
        ("می‌روند", "آنها می‌روند اکنون."),  # with a joiner, and without
        ("میروند", "آنها می‌روند اکنون."),
        ("GROSSE", "Eine große Katze."),
        ("größe", "DIE GRÖSSE HIER."),
        ("izmir", "İZMİR güzel."),  # Turkish capitals, either way
        ("ıssız", "ISSIZ bir yer."),
        ("ﾊﾟﾝ", "毎朝パンを食べる."),  # half width, two signs for one
        ("辻", "辻\U000e0100さんの家."),  # with the selector of a variant
        ("²²", "It weighs 22 here."),
        ("woman", "👩‍🔬👩‍👩‍👧 a woman 👩🏽‍🚒."),
        ("𝒎𝒂𝒕𝒉", "Some math here."),  # beyond the basic plane, before the folding
        ("𠮷野", "𠮷野家は店."),
    ],
)
def test_one_letter_in_another_form_is_found(query: str, sentence: str) -> None:
    text = f"🐕🐕‍🦺 1. {sentence} 2."
    start = text.index(sentence)
    assert best_sentences(query, [text]) == [(start, start + len(sentence))]


@pytest.mark.parametrize(
    ("query", "text"),
    [("भरत", "यह भारत है."), ("かき", "かぎ."), ("กา", "ก่ำ.")],
)
def test_marks_that_make_another_word_are_not_dropped(query: str, text: str) -> None:
    assert best_sentences(query, [text]) == [None]


@pytest.mark.parametrize("sentences_", [THAI, LAO], ids=["Thai", "Lao"])
def test_blanks_end_long_sentences_where_there_are_no_marks(sentences_: tuple[str, str]) -> None:
    text = " ".join(sentences_)
    first, second = sentences(text)
    assert [text[slice(*first)], text[slice(*second)]] == list(sentences_)
    assert best_sentences(sentences_[1][:6], [text]) == [second]
    # A name, or a list, is not cut.
    assert sentences(sentences_[0][:9] + " " + sentences_[1][:9]) == [(0, 19)]


@given(st.text(max_size=60))
def test_forms_of_one_text_are_alike(text: str) -> None:
    forms = {folded(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert len(forms) == 1
    assert folded(text) == folded(folded(text))


@given(st.text(st.sampled_from("aé e\u0301.。。猫\n서울ß🐕‍"), max_size=40))
def test_a_sentence_is_found_by_itself_in_either_form(text: str) -> None:
    for form in ("NFC", "NFD"):
        for start, end in sentences(text):
            words = query_words(unicodedata.normalize(form, text[start:end]))
            assert not words or best_sentence(words, text) is not None
