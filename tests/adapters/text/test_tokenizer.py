"""Text to ids and back: exact for byte pairs, by words for words, and no text can end a row."""

from __future__ import annotations

import json
import re

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, processors

from isthmus.errors import InputError, SettingError, SourceError
from isthmus_text.texts import Texts
from isthmus_text.tokens import tokenizer as tokenizing
from isthmus_text.tokens.limits import check_pattern
from isthmus_text.tokens.tokenizer import Tokenizer

SENTENCES = [
    "the cat sat on the mat .",
    "the dog sat on the log .",
    "  two  spaces and\na line\r\n",
    "été 🙂 naïve",
    "",
    "</s> </s></s> <unk> <unk> <pad> <s>",
] * 20
BYTES = Tokenizer.train(Texts.read(SENTENCES), "bpe", 400)
WORDS = Tokenizer.train(Texts.read(SENTENCES), "word", 20)

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ODD_TEXT = st.lists(st.sampled_from(["</s>", "<unk>", "<s>", "<pad>", " ", "\n", "\0", "the", "é", "🙂"])).map("".join)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.one_of(ANY_TEXT, ODD_TEXT))
def test_byte_pairs_give_every_text_back(text):
    (row,) = BYTES.encode([text])
    assert BYTES.decode_batch([row]) == [text]
    assert row.count(BYTES.end) == 1
    assert row[-1] == BYTES.end
    assert min([BYTES.end + 1, *row[:-1]]) > BYTES.end, "a special id inside a text"


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.one_of(ANY_TEXT, ODD_TEXT))
def test_words_give_every_text_back_but_for_rare_words_and_spaces(text):
    (row,) = WORDS.encode([text])
    known = WORDS.inner.get_vocab()
    assert row[-1] == WORDS.end
    assert row.count(WORDS.end) == 1
    assert max(row) < WORDS.vocabulary
    assert WORDS.decode_batch([row]) == [" ".join(word if word in known else "<unk>" for word in python_words(text))]


def python_words(text):
    """Split at white space as Unicode has it; str.split also splits at the separators 1c to 1f."""
    return [word for word in re.split(r"[^\S\x1c-\x1f]+", text) if word]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(ANY_TEXT, max_size=4), st.integers(1, 6))
def test_cut_rows_are_the_beginnings_of_whole_ones(texts, max_length):
    for tokenizer in (BYTES, WORDS):
        for whole, cut in zip(tokenizer.encode(texts), tokenizer.encode_batch(texts, max_length), strict=True):
            assert len(cut) == min(len(whole), max_length)
            assert cut == [*whole[: len(cut) - 1], tokenizer.end]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 19)), max_size=4))
def test_any_ids_decode_to_texts(rows):
    for tokenizer in (BYTES, WORDS):
        decoded = tokenizer.decode_batch(rows)
        assert len(decoded) == len(rows)
        assert all(isinstance(text, str) for text in decoded)


def test_the_special_ids():
    for tokenizer in (BYTES, WORDS):
        assert (tokenizer.special.pad, tokenizer.special.start, tokenizer.end, tokenizer.unknown) == (0, 1, 2, 3)
        assert tokenizer.encode([""]) == [[2]]
        assert tokenizer.encode([]) == []
        assert tokenizer.decode_batch([]) == []
    names = BYTES.inner.get_vocab()
    assert [names[token] for token in ("<pad>", "<s>", "</s>", "<unk>")] == [0, 1, 2, 3]
    assert 260 < BYTES.vocabulary <= 400


def test_literal_special_tokens_are_words_like_any_other():
    (row,) = WORDS.encode(["<unk> the </s> zebra"])
    assert WORDS.unknown == row[3] != row[0]
    assert row[2] != WORDS.end
    assert WORDS.decode_batch([row]) == ["<unk> the </s> <unk>"]


def test_words_are_the_most_frequent():
    assert WORDS.vocabulary == 20
    texts = Texts.read(["b b b a a c c d"])
    tokenizer = Tokenizer.train(texts, "word", 7)
    assert tokenizer.encode(["b a c d b"]) == [[4, 5, 6, 3, 4, 2]]
    assert tokenizer.decode_batch([[4, 5, 3]]) == ["b a <unk>"]
    everything = Tokenizer.train(texts, "word", 8000)
    assert everything.vocabulary == 8
    assert everything.decode_batch(everything.encode(["d  c\tb"])) == ["d c b"]


def test_the_share_that_comes_back():
    assert BYTES.round_trip(SENTENCES) == 1
    tokenizer = Tokenizer.train(Texts.read(["a b"]), "word", 10)
    assert tokenizer.round_trip(["a b", "b", "a  b", "c"]) == 0.5
    assert tokenizer.round_trip([]) == 1


def test_rows_are_cut_with_their_end_kept():
    long = "the cat " * 500
    whole = BYTES.encode([long])[0]
    assert BYTES.encode_batch([long, ""], 10) == [[*whole[:9], 2], [2]]
    assert BYTES.encode_batch([long], 1) == [[2]]
    assert BYTES.encode_batch([long], len(whole)) == [whole]
    with pytest.raises(SettingError, match="max_length=0"):
        BYTES.encode_batch(["a"], 0)


def test_very_long_lines_and_one_word_again_and_again():
    for text in ("a" * 1_000_000, "é🙂" * 100_000, "x " * 50_000, "-" * 20_000):
        tokenizer = Tokenizer.train(Texts.read([text]), "bpe", 300)
        assert tokenizer.round_trip([text]) == 1
        assert max(map(len, tokenizer.inner.get_vocab())) <= tokenizing.LONGEST_TOKEN


def test_decoding_stops_at_the_end_and_skips_padding():
    row = WORDS.encode(["the cat"])[0]
    assert WORDS.decode_batch([[1, *row, 0, 0, *row]]) == ["the cat"]
    assert BYTES.decode_batch([[1, 3, *BYTES.encode(["hi"])[0], 0]]) == ["hi"]
    for id_ in (-1, BYTES.vocabulary):
        with pytest.raises(InputError, match=f"token id {id_}"):
            BYTES.decode_batch([[id_]])


def test_training_takes_a_sample_of_much_text(monkeypatch):
    texts = Texts.read(["common"] * 51 + ["rare"] + ["common"] * 48)
    monkeypatch.setattr(tokenizing, "TRAINED_ON", 60)
    sampled = Tokenizer.train(texts, "word", 100)
    assert sampled.vocabulary == 5
    monkeypatch.setattr(tokenizing, "TRAINED_ON", 1)
    assert Tokenizer.train(texts, "word", 100).vocabulary == 5
    monkeypatch.undo()
    assert Tokenizer.train(texts, "word", 100).vocabulary == 6


def test_what_cannot_be_trained():
    train = Tokenizer.train.__func__
    unchecked = getattr(train, "__wrapped__", train)  # past the run-time type check that only the tests have
    with pytest.raises(SettingError, match="kind='char'"):
        unchecked(Tokenizer, Texts.read(["a"]), "char")
    with pytest.raises(SettingError, match="259"):
        Tokenizer.train(Texts.read(["a"]), "bpe", 259)
    with pytest.raises(SettingError, match="size=4"):
        Tokenizer.train(Texts.read(["a"]), "word", 4)
    with pytest.raises(InputError, match="no text"):
        Tokenizer.train(Texts.read(["", ""]))
    with pytest.raises(InputError, match="no word"):
        Tokenizer.train(Texts.read([" ", "\n"]), "word")


def test_json_and_back():
    for tokenizer in [BYTES, WORDS]:
        back = Tokenizer.from_json(tokenizer.to_json(), json.loads(json.dumps(tokenizer.facts())))
        assert back.encode(SENTENCES) == tokenizer.encode(SENTENCES)
        assert back.facts() == tokenizer.facts()
        assert back.vocabulary == tokenizer.vocabulary
        assert back.to_json() == tokenizer.to_json()


def test_facts_that_do_not_fit():
    for change in [
        {"kind": "char"},
        {"end": 9999},
        {"end": None},
        {"end": True},
        {"pad": None},
        {"unknown": -1},
        {"start": "1"},
    ]:
        with pytest.raises(InputError, match="tokenizer"):
            Tokenizer.from_json(BYTES.to_json(), {**BYTES.facts(), **change})


def test_documents_that_are_no_tokenizer():
    for text in ["", "{}", "[]", '{"model": 1}']:
        with pytest.raises(InputError, match="not a tokenizer"):
            Tokenizer.from_json(text, BYTES.facts())


def somebodys(folder, tokens=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello", "world"), unknown="[UNK]", config=None):
    """A tokenizer as published ones are: with truncation, fixed padding, a template and special tokens."""
    vocabulary = {token: row for row, token in enumerate(tokens)}
    inner = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens([token for token in tokens if token.startswith(("[", "<"))])
    inner.enable_truncation(3)
    inner.enable_padding(length=3)
    if "[CLS]" in vocabulary:
        inner.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    inner.save(str(folder / "tokenizer.json"))
    if config is not None:
        (folder / "tokenizer_config.json").write_text(config if isinstance(config, str) else json.dumps(config))


def test_a_pretrained_tokenizer(tmp_path):
    somebodys(tmp_path)
    for path in (tmp_path, str(tmp_path / "tokenizer.json")):
        tokenizer = Tokenizer.pretrained(path)
        special = tokenizer.special
        assert (special.end, special.unknown, special.pad, special.start) == (3, 1, 0, 2)
        assert tokenizer.vocabulary == 6
        # Neither cut to three nor padded, and no "[SEP]" of a text ends it.
        assert tokenizer.encode(["hello world hello world", "", "hello [SEP] world"]) == [
            [4, 5, 4, 5, 3],
            [3],
            [4, 1, 5, 3],
        ]
        back = Tokenizer.from_json(tokenizer.to_json(), tokenizer.facts())
        assert back.encode(["hello [SEP] world"]) == [[4, 1, 5, 3]]
    assert tokenizer.decode_batch([[2, 4, 5, 3, 0]]) == ["hello world"]


def test_names_in_the_configuration_go_first(tmp_path):
    tokens = ("<unk>", "</s>", "<|im_end|>", "hello")
    config = {"eos_token": {"content": "<|im_end|>"}, "pad_token": None, "model_max_length": 8}
    somebodys(tmp_path, tokens, "<unk>", config)
    special = Tokenizer.pretrained(tmp_path).special
    assert (special.end, special.unknown, special.pad, special.start) == (2, 0, 2, None)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<not a token>"}')
    assert Tokenizer.pretrained(tmp_path).end == 1


def test_an_end_that_pads_and_stands_for_the_unknown(tmp_path):
    end = "<|endoftext|>"
    somebodys(tmp_path, ("!", "hello", end), end, dict.fromkeys(("eos_token", "unk_token", "bos_token"), end))
    tokenizer = Tokenizer.pretrained(tmp_path)
    special = tokenizer.special
    assert (special.end, special.unknown, special.pad, special.start) == (2, None, 2, 2)
    assert tokenizer.encode([f"! {end} hello"]) == [[0, 1, 2]]
    assert tokenizer.decode_batch([[2, 0], [0, 1, 2, 0]]) == ["", "! hello"]


def test_a_pretrained_tokenizer_without_an_end(tmp_path):
    somebodys(tmp_path, ("<unk>", "hello"), "<unk>")
    with pytest.raises(InputError, match="eos_token"):
        Tokenizer.pretrained(tmp_path)


def test_no_tokenizer_there(tmp_path):
    with pytest.raises(SourceError, match=r"tokenizer\.json"):
        Tokenizer.pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="is not a tokenizer"):
        Tokenizer.pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff")
    with pytest.raises(SourceError, match="cannot be read"):
        Tokenizer.pretrained(tmp_path)
    somebodys(tmp_path, config="{")
    with pytest.raises(InputError, match="JSON"):
        Tokenizer.pretrained(tmp_path)


def test_what_is_never_written():
    assert set(BYTES.non_text_ids) >= {0, 1}
    assert set(WORDS.non_text_ids) >= {0, 1}
    for tokenizer in (BYTES, WORDS):
        assert tokenizer.end not in tokenizer.non_text_ids


PATTERNS = [
    r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}]?[\p{L}\p{M}]+| {2,}|(?=(\d{3})+(?!\d))",
]
ENDLESS = [r"(a+)+$", r"(?:a*)*b", r"((a|b)+c?)+", r"(\w{2,}\s?)*$", "x" * 5000]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_of_known_tokenizers_are_taken(pattern: str) -> None:
    check_pattern(pattern, "test")


@pytest.mark.parametrize("pattern", ENDLESS, ids=lambda pattern: pattern[:20])
def test_patterns_that_never_end_are_refused(pattern: str) -> None:
    document = json.loads(BYTES.to_json())
    document["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    with pytest.raises(InputError, match="pattern"):
        Tokenizer.from_json(json.dumps(document), BYTES.facts())


def grown(document: dict) -> None:
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
    document["normalizer"] = {"type": "Sequence", "normalizers": [step] * 9}


def crowded(document: dict) -> None:
    document["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 300}


def quadratic(document: dict) -> None:
    document["model"] = {"type": "WordPiece", "max_input_chars_per_word": 10**9}


@pytest.mark.parametrize("change", [grown, crowded, quadratic])
def test_tokenizers_that_ask_for_too_much_are_refused(change) -> None:
    document = json.loads(BYTES.to_json())
    change(document)
    with pytest.raises(InputError, match=r"at most|steps"):
        Tokenizer.from_json(json.dumps(document), BYTES.facts())
    for text in ("[]", "nothing", "[" * 100_000):
        with pytest.raises(InputError, match="not a tokenizer"):
            Tokenizer.from_json(text, BYTES.facts())
