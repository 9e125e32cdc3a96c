"""The embedded corpus: deterministic, disjoint, grammatical, with combinations that training never shows."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest
from compose_phrasebook import FILE, SEED, TEST, TRAIN, VALID, composed
from phrasebook.clauses import clause
from phrasebook.corpus import compose, held_out
from phrasebook.english import a_or_an, english_number
from phrasebook.french import conjugate, contract, french_adjective, french_number, french_plural
from phrasebook.lexicon import ADJECTIVES, INTRANSITIVE, NOUNS, TRANSITIVE
from phrasebook.phrases import HE, SHE, WE, YOU, NounPhrase, bare
from phrasebook.predicates import doable, with_manner
from phrasebook.sentences import Sentence

from trainables.data.reading.phrasebook import phrasebook

TOOLS = Path(__file__).parents[1] / "tools"
Splits = dict[str, list[Sentence]]


@pytest.fixture(scope="module")
def corpus() -> Splits:
    return compose(SEED, TRAIN, VALID, TEST)


def sentences(corpus: Splits) -> list[Sentence]:
    return [sentence for split in corpus.values() for sentence in split]


def forms(texts: list[str]) -> list[str]:
    return [word for text in texts for word in re.findall(r"\w+", text.lower())]


def test_the_corpus_in_the_package_is_the_one_that_the_grammar_composes(corpus: Splits) -> None:
    assert phrasebook() == {name: tuple((s.en, s.fr) for s in split) for name, split in corpus.items()}
    assert {name: len(split) for name, split in corpus.items()} == {"train": 8000, "valid": 500, "test": 500}
    assert gzip.decompress(FILE.read_bytes()).decode() == composed()


def test_same_seed_same_sentences_in_another_process() -> None:
    code = "from phrasebook.corpus import compose; print(ascii(compose(3, 200, 20, 20)))"
    other = subprocess.run([sys.executable, "-c", code], cwd=TOOLS, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == ascii(compose(3, 200, 20, 20))
    assert compose(4, 200, 20, 20) != compose(3, 200, 20, 20)


@pytest.mark.parametrize("side", ["en", "fr"])
def test_no_sentence_twice_on_either_side(corpus: Splits, side: str) -> None:
    texts = [getattr(sentence, side).lower() for sentence in sentences(corpus)]
    assert len(set(texts)) == len(texts) == 9000


@pytest.mark.parametrize("side", ["en", "fr"])
def test_vocabulary_and_lengths(corpus: Splits, side: str) -> None:
    train = [getattr(sentence, side) for sentence in corpus["train"]]
    vocabulary = set(forms(train))
    assert len(vocabulary) >= 1000
    unseen = forms([getattr(s, side) for s in corpus["valid"] + corpus["test"]])
    assert sum(word in vocabulary for word in unseen) > 0.97 * len(unseen)
    lengths = [len(text.split()) for text in train]
    assert 9 <= sum(lengths) / len(lengths) <= 11
    assert min(lengths) <= 4
    assert max(lengths) >= 18


def test_held_out_combinations(corpus: Splits) -> None:
    assert not any(held_out(pair) for sentence in corpus["train"] for pair in sentence.pairs)
    for name in ("valid", "test"):
        assert sum(any(map(held_out, s.pairs)) for s in corpus[name]) >= 0.4 * len(corpus[name])


def test_held_out_adjectives_never_stand_before_their_noun_in_training(corpus: Splits) -> None:
    text = "\n".join(sentence.en.lower() for sentence in corpus["train"])
    bigrams = set(zip(text.split(), text.split()[1:], strict=False))
    pairs = [(a.en.lower(), n.en) for a in ADJECTIVES for n in NOUNS if held_out((a.en, n.en))]
    assert len(pairs) > 1000
    assert not bigrams.intersection(pairs)


def test_written_as_people_write(corpus: Splits) -> None:
    for sentence in sentences(corpus):
        for text in (sentence.en, sentence.fr):
            assert text[0].isupper()
            assert text[-1] in ".?!"
            assert "  " not in text and " ," not in text and "\N{NO-BREAK SPACE}" not in text
        assert not re.search(r" [?!.]", sentence.en)
        assert not re.search(r"[^ ][?!]", sentence.fr)
        assert not re.search(r"\b(LE|LA|LES)\b", sentence.fr)


FRENCH_FAULTS = [
    r"\b(je|ne|que|me|te|se|de|jusque) [aeiouyéèêâî]\w*(?<!onze)\b(?<!yeux)",
    r"(?<!-)\b(le|la) [aeiéèêâî]\w+",
    r"\b(de|à) les (?!\w+(er|ir|re)\b)",
    r"\bà le [a-z]",
    r"\b[dl]'(h(éros|ache|ibou|aricot|omard|amster|arpe))",
    r"\b(ma|ta|sa|nouveau|beau|(?<!des )(?<!ces )vieux) [aeiouéèêâîœ]\w+[^sx\W]\b",
    r"\bce [aeiouéèêâîœ]",
    r"\bsi ils?\b",
    r"\bdes? des\b",
    r"\bplus plus\b",
    r"\bpas (à )?(quelques|plusieurs|chaque)\b",
    r"\b(travaill|jou|mang|chant)(é|er)e?s? (bien|beaucoup|trop|un peu)\b(?! d)",
    r"\bhors d|\bdans (la|une|cette|ma|sa) ferme\b",
    r"\bpour (détester|préférer|connaître|aimer|avoir|posséder)\b",
]
ENGLISH_FAULTS = [
    r"\ba [aeio]\w",
    r"\ban [bcdfgjklmnpqrstvwxyz]",
    r"^(He|She|It) (are|have|do|like)\b",
    r"\b(do|does|did)n't \w+(ed|s)\b(?<!dress)(?<!cross)(?<!feed)(?<!need)",
    r"\b(I|they|we|you) (is|has|does)\b",
    r"\b(am|will|can)n't\b|willn't",
    r"\b(many|several|these) (\w+ )?(man|child|mouse|knife)\b",
    r"'s's",
    r"\b(in|at) (the|this|my|his|her|our|their) farm\b",
    r"\b([Ii]|[Hh]e|[Ss]he|[Ii]t) (\w+ ){1,2}together\b",
    r"\b(arrive|fall|fell|fallen)s?d? (well|a lot|too much|a little|together|quietly)\b",
    r"(?<!used)(?<!use) to (hate|prefer|know|like|own|respect)\b|\b(can|must) (hate|prefer|know|like|own)\b",
    r"\b([Ww]e|[Tt]hey|because|if|when|while)\b.* years old",
    r"\b(boy|girl|child) (is|was|isn't|wasn't|will be|won't be) \w+(teen|ty)\S* years old",
    r"\b([Ww]hile|and|but|because) (we|they|you) were (English|French|Italian|German|Japanese)\b.*\bwere [A-Z]",
    r"\b(French|Italian|German) \w+ (is|are|was|were) (English|French|Italian|German|Japanese|foreign)\b",
    r"^The (dog|cat|cow|fox) (sells|sold|gives|gave|wears|wore|writes|wrote|works|worked|thinks)\b",
]


@pytest.mark.parametrize("fault", FRENCH_FAULTS)
def test_no_fault_in_the_french(corpus: Splits, fault: str) -> None:
    assert [s.fr for s in sentences(corpus) if re.search(fault, s.fr)][:5] == []


@pytest.mark.parametrize("fault", ENGLISH_FAULTS)
def test_no_fault_in_the_english(corpus: Splits, fault: str) -> None:
    assert [s.en for s in sentences(corpus) if re.search(fault, s.en)][:5] == []


def test_tu_only_where_a_first_name_is_called(corpus: Splits) -> None:
    for sentence in sentences(corpus):
        if re.search(r"\b(tu|te)\b|\bt'", sentence.fr):
            assert re.match(r"\w+, ", sentence.en), sentence


def test_sizes_out_of_reach_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phrasebook.corpus.DRAWS_PER_SENTENCE", 0)
    with pytest.raises(ValueError, match=r"ran out of new sentences with .* of 5000 train sentences"):
        compose(0, 5000, 500, 500)
    with pytest.raises(ValueError, match="negative"):
        compose(0, -1, 500, 500)


@pytest.mark.parametrize(
    ("infinitive", "tense", "person", "form"),
    [
        ("acheter", "future", 2, "achètera"),
        ("préférer", "present", 0, "préfère"),
        ("préférer", "future", 0, "préférerai"),
        ("appeler", "present", 5, "appellent"),
        ("manger", "imperfect", 0, "mangeais"),
        ("manger", "imperfect", 3, "mangions"),
        ("se dépêcher", "present", 2, "dépêche"),
        ("nettoyer", "present", 2, "nettoie"),
        ("finir", "present", 5, "finissent"),
        ("répondre", "present", 2, "répond"),
        ("comprendre", "present", 5, "comprennent"),
        ("être", "imperfect", 4, "étiez"),
        ("envoyer", "future", 2, "enverra"),
        ("traduire", "present", 4, "traduisez"),
        ("vouloir", "conditional", 0, "voudrais"),
    ],
)
def test_conjugation(infinitive: str, tense: str, person: int, form: str) -> None:
    assert conjugate(infinitive, tense, person) == form


@pytest.mark.parametrize(
    ("subject", "verb", "manner", "tense", "negation", "english", "french"),
    [
        (YOU, "work", "w", "past", "", "you worked well", "vous avez bien travaillé"),
        (HE, "sleep", "a", "perfect", "", "he has slept a lot", "il a beaucoup dormi"),
        (HE, "work", "w", "can", "not", "he can't work well", "il ne peut pas bien travailler"),
        (HE, "work", "w", "present", "", "he works well", "il travaille bien"),
        (HE, "work", "w", "present", "not", "he doesn't work well", "il ne travaille pas bien"),
        (SHE, "rest", "a", "progressive", "", "she is resting a lot", "elle est en train de beaucoup se reposer"),
        (SHE, "rest", "m", "past", "never", "she never rested too much", "elle ne s'est jamais trop reposée"),
        (WE, "sing", "t", "past", "", "we sang together", "nous avons chanté ensemble"),
        (WE, "swim", "s", "want", "not", "we don't want to swim slowly", "nous ne voulons pas nager lentement"),
    ],
)
def test_manner(
    subject: NounPhrase, verb: str, manner: str, tense: str, negation: str, english: str, french: str
) -> None:
    entry = next(entry for entry in INTRANSITIVE if entry.en == verb)
    text = clause(subject, with_manner(entry, manner, negation), tense)
    assert (" ".join(text.en.split()), contract(text.fr)) == (english, french)


def test_places_have_their_prepositions(corpus: Splits) -> None:
    where = {noun.en: noun.where for noun in NOUNS}
    assert (where["farm"], where["school"], where["garden"]) == (("on", "à"), ("at", "à"), ("in", "dans"))
    text = "\n".join(f"{s.en} | {s.fr}" for s in sentences(corpus))
    assert re.search(r" to the farm\b.* à la ferme\b", text)
    assert re.search(r" on (the|this|my) farm\b.* à (la|cette|ma) ferme\b", text)


def test_verbs_that_suit_the_subject_and_the_tense() -> None:
    noun = next(noun for noun in NOUNS if noun.en == "dog")
    dog = bare(noun, plural=False)
    cases = {(subject, tense): doable(TRANSITIVE, subject, tense) for subject in (dog, HE) for tense in ("past", "can")}
    found = {key: {verb.en for verb in verbs} & {"eat", "hate", "sell", "own"} for key, verbs in cases.items()}
    assert found[dog, "past"] == {"eat", "hate"}
    assert found[dog, "can"] == {"eat"}
    assert found[HE, "past"] == {"eat", "hate", "sell", "own"}
    assert found[HE, "can"] == {"eat", "sell"}
    assert (dog.resumed().en, bare(noun, plural=True).resumed().human) == ("it", False)


def test_french_agreement_rules() -> None:
    assert french_adjective("vieux", False, False, "homme") == "vieil"
    assert french_adjective("vieux", False, False, "héros") == "vieux"
    assert french_adjective("inquiet", True, True) == "inquiètes"
    assert [french_plural(word) for word in ("cheval", "bureau", "bleu", "fils")] == [
        "chevaux",
        "bureaux",
        "bleus",
        "fils",
    ]


def test_numbers() -> None:
    assert french_number(342) == "trois cent quarante-deux"
    assert [french_number(n) for n in (71, 80, 81, 91, 200)] == [
        "soixante et onze",
        "quatre-vingts",
        "quatre-vingt-un",
        "quatre-vingt-onze",
        "deux cents",
    ]
    assert french_number(21, feminine=True) == "vingt et une"
    assert english_number(342) == "three hundred and forty-two"


def test_contraction_and_elision() -> None:
    assert contract("je ne ai pas vu le chapeau de LE homme") == "je n'ai pas vu le chapeau de l'homme"
    assert contract("avant de le voir à LE bord de LES eaux") == "avant de le voir au bord des eaux"
    assert contract("si il aime LE héros") == "s'il aime le héros"
    assert [a_or_an(word) for word in ("useful", "honest", "old", "house")] == ["a", "an", "an", "a"]
