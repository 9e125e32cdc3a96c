"""A translation is scored as its language is scored, in every script and every place."""

import json
from pathlib import Path

import pytest
import sacrebleu
import torch
from corpora import write_digits
from test_run import run_here

from search.record.study import Study
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.translation_config import TranslationConfig
from trainables.data.corpora.corpus import read_corpus
from trainables.data.corpora.scoring import CODES, TOKENIZERS, Scoring, scoring
from trainables.data.encoding.preparing import prepare
from trainables.scoring.bleu import bleu_of_sums, sentence_statistics
from trainables.training.device import CPU
from trainables.training.evaluation import corpus_bleu, score
from trainables.training.loop import train

# Language: its tokenizer, two sentences of ours, and a wrong translation of both.
SCRIPTS = {
    "zh": ("zh", ["老人在花园里看书。", "孩子们明天去学校。"], "天气今天很冷了吗？"),
    "ja": ("ja-mecab", ["老人は庭で本を読んでいます。", "子供たちは明日学校へ行きます。"], "今日はとても寒いですね。"),
    "ko": (
        "ko-mecab",
        ["노인이 정원에서 책을 읽고 있습니다.", "아이들은 내일 학교에 갑니다."],
        "오늘은 날씨가 매우 춥네요.",
    ),
    "th": ("char", ["ชายชราอ่านหนังสือในสวน", "เด็กๆจะไปโรงเรียนพรุ่งนี้"], "วันนี้อากาศหนาวมาก"),
    "km": ("char", ["បុរសចំណាស់អានសៀវភៅ", "កុមារទៅសាលារៀន"], "ថ្ងៃនេះត្រជាក់ណាស់"),
    "lo": ("char", ["ຜູ້ເຖົ້າອ່ານປຶ້ມ", "ເດັກນ້ອຍໄປໂຮງຮຽນ"], "ມື້ນີ້ອາກາດໜາວຫຼາຍ"),
    "my": ("char", ["အဘိုးအိုသည်စာဖတ်နေသည်", "ကလေးများကျောင်းသွားသည်"], "ယနေ့အလွန်အေးသည်"),
    "bo": ("char", ["རྒན་པོ་དེབ་ཀློག་གི་འདུག", "ཕྲུ་གུ་སློབ་གྲྭར་འགྲོ"], "དེ་རིང་གྲང་མོ་རེད"),
    "hi": ("13a", ["बूढ़ा आदमी बगीचे में किताब पढ़ता है ।", "बच्चे कल स्कूल जाएंगे ।"], "आज बहुत ठंड है क्या ?"),
    "ar": (
        "13a",
        ["الرجل العجوز يقرأ كتابا في الحديقة.", "الأطفال يذهبون غدا إلى المدرسة."],
        "الجو بارد جدا هذا اليوم.",
    ),
    "el": (
        "13a",
        ["Ο γέρος διαβάζει ένα βιβλίο στον κήπο.", "Τα παιδιά πάνε αύριο σχολείο."],
        "Σήμερα κάνει πολύ κρύο.",
    ),
}
WORDS = {  # of the digits from 0, in scripts without spaces
    "zh": "零 壹 贰 叁 肆 伍 陆 柒 捌 玖",
    "ja": "れい いち に さん よん ご ろく なな はち きゅう",
    "th": "ศูนย์ หนึ่ง สอง สาม สี่ ห้า หก เจ็ด แปด เก้า",
    "km": "សូន្យ មួយ ពីរ បី បួន ប្រាំ ប្រាំមួយ ប្រាំពីរ ប្រាំបី ប្រាំបួន",
    "lo": "ສູນ ໜຶ່ງ ສອງ ສາມ ສີ່ ຫ້າ ຫົກ ເຈັດ ແປດ ເກົ້າ",
    "my": "သုည တစ် နှစ် သုံး လေး ငါး ခြောက် ခုနစ် ရှစ် ကိုး",
    "bo": "ཀླད་ གཅིག་ གཉིས་ གསུམ་ བཞི་ ལྔ་ དྲུག་ བདུན་ བརྒྱད་ དགུ་",
}


SPACED = {  # and in scripts with spaces
    "hi": "शून्य एक दो तीन चार पाँच छह सात आठ नौ",
    "ar": "صفر واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة",
    "el": "μηδέν ένα δύο τρία τέσσερα πέντε έξι επτά οκτώ εννέα",
    "ko": "영 일 이 삼 사 오 육 칠 팔 구",
}


def data(language: str, **values: object) -> DataConfig:
    return DataConfig.model_validate({"target": language, **values})


@pytest.mark.parametrize("language", SCRIPTS)
def test_a_perfect_translation_scores_100_and_a_wrong_one_little(language: str) -> None:
    tokenizer, references, wrong = SCRIPTS[language]
    metrics = scoring(data(language))
    assert metrics.tokenize == tokenizer
    perfect, useless = score(references, references, metrics), score([wrong, wrong], references, metrics)
    assert (perfect.bleu, perfect.chrf, perfect.ter) == pytest.approx((100.0, 100.0, 0.0))
    assert perfect.sentence_bleu == pytest.approx(100.0)
    assert useless.bleu < 20 and useless.sentence_bleu < 20 and useless.ter > 50
    official = sacrebleu.corpus_bleu([wrong, references[1]], [references], tokenize=tokenizer).score
    statistics = sentence_statistics([wrong, references[1]], references, metrics)
    assert float(bleu_of_sums(statistics.sum(axis=0))) == pytest.approx(official)
    assert corpus_bleu([wrong, references[1]], references, metrics) == pytest.approx(official)
    said = metrics.signatures()
    assert f"tok:{tokenizer}" in said["bleu"] and ("asian:yes" in said["ter"]) == (language in ("zh", "ja", "ko"))


@pytest.mark.parametrize(
    ("config", "tokenizer"),
    [
        ({"target": "zh-CN"}, "zh"),
        ({"target": "zho"}, "zh"),
        ({"target": "yue_Hant"}, "zh"),
        ({"target": "JPN"}, "ja-mecab"),
        ({"target": "tgt"}, "13a"),
        ({"target": "tgt", "target_language": "th"}, "char"),
        ({"target": "zh", "bleu_tokenize": "char"}, "char"),
        ({"target": "zh", "target_language": "fr"}, "13a"),
        ({"target": "fr", "bleu_tokenize": "intl"}, "intl"),
    ],
)
def test_the_tokenizer_follows_the_language_unless_it_is_named(config: dict[str, str], tokenizer: str) -> None:
    assert scoring(DataConfig.model_validate(config)).tokenize == tokenizer
    assert set(CODES.values()) <= TOKENIZERS.keys()


def write_joined(folder: Path, language: str) -> Path:
    """Digits in English, and in a language that may write them without spaces, in files that end in tgt."""
    write_digits(folder, train=700)
    english = (folder / "train.en").read_text().split()
    digits, between = (WORDS[language], "") if language in WORDS else (SPACED[language], " ")
    words = dict(zip(dict.fromkeys(sorted(set(english))), digits.split() * 2, strict=False))
    for split in ("train", "valid", "test"):
        lines = (folder / f"{split}.en").read_text().splitlines()
        joined = [between.join(words[word] for word in line.split()) for line in lines]
        (folder / f"{split}.tgt").write_text("\n".join(joined) + "\n", encoding="utf-8")
    return folder


def trial(folder: Path, language: str, rate: float, epochs: int) -> TranslationConfig:
    return TranslationConfig.model_validate(
        {
            "data": {"path": str(folder), "target": "tgt", "target_language": language},
            "tokenizer": {"vocab_size": 120},
            "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "num_heads": 2, "ffn_dim": 64},
            "training": {"epochs": epochs, "batch_tokens": 512, "learning_rate": rate, "warmup_steps": 10},
        }
    )


@pytest.mark.parametrize("language", WORDS)
def test_a_model_that_learns_is_told_from_a_useless_one(language: str, tmp_path: Path) -> None:
    folder, bleu = write_joined(tmp_path / "corpus", language), []
    for rate, epochs in ((1e-8, 1), (0.01, 14)):
        config = trial(folder, language, rate, epochs)
        *_, (report, _) = train(config, prepare(config.data, config.tokenizer, tmp_path), device=CPU)
        bleu.append(report.score("valid_bleu"))
    assert bleu[0] < 5 and bleu[1] > bleu[0] + 8


def test_references_without_words_are_refused_unless_a_tokenizer_is_named(tmp_path: Path) -> None:
    folder = write_joined(tmp_path / "corpus", "th")
    with pytest.raises(UserError, match=r"data.bleu_tokenize: the references of valid have 1\.0 tokens a line as 13a"):
        read_corpus(DataConfig(path=str(folder), target="tgt"))
    named = DataConfig(path=str(folder), target="tgt", bleu_tokenize="13a")
    assert len(read_corpus(named).valid) == 40


def test_a_tokenizer_that_is_not_installed_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_joined(tmp_path / "corpus", "ja")
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)
    with pytest.raises(
        UserError,
        match=r"data.bleu_tokenize: ja-mecab needs mecab-python3 and ipadic, .*: pip install 'babeltune\[ja\]'",
    ):
        read_corpus(DataConfig(path=str(folder), target="tgt", target_language="ja"))


@pytest.mark.parametrize(
    "language", ["zh", *(pytest.param(other, marks=pytest.mark.rare) for other in (*WORDS, *SPACED) if other != "zh")]
)
def test_a_search_crowns_the_model_that_learned_and_goes_on_after_one_that_diverged(
    language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    config = trial(write_joined(tmp_path / "corpus", language), language, 0.01, 14).model_dump(mode="json")
    space = {"training.learning_rate": {"values": [1e-8, 1e30, 0.01]}}
    search = {"sampler": "grid", "scheduler": "none", "trials": None, "concurrency": 1}
    finals = {"top": 3, "seeds": 0, "beam_size": 1, "min_distance": 0}
    file = tmp_path / "config.json"  # JSON is YAML
    file.write_text(
        json.dumps({**config, "space": space, "search": search, "finals": finals, "tracking": {"wandb": "disabled"}})
    )
    done = run_here(capsys, "--config", str(file), "--output_dir", str(tmp_path / "runs"), "--name", "first")
    assert done.returncode == 0, done.stderr
    study = Study(tmp_path / "runs" / "first" / "study.db", "search", "maximize")
    assert sorted(str(t.outcome) for t in study.trials.values()) == ["completed", "completed", "diverged"]
    assert done.stdout.count("diverged") == 1
    board = json.loads((tmp_path / "runs" / "first" / "leaderboard.json").read_text())
    first, second = board["ranking"]
    assert first["config"]["training.learning_rate"] == 0.01 and first["test_bleu"] > second["test_bleu"] + 10
    tokenizer = f"tok:{scoring(data(language)).tokenize}"
    assert tokenizer in board["signatures"]["bleu"]
    assert tokenizer in (tmp_path / "runs" / "first" / "report.html").read_text()
    best = json.dumps((tmp_path / "runs" / "first" / "best" / "config.yaml").read_text())
    assert "learning_rate: 0.01" in best


def test_scoring_is_hashable_and_travels_to_workers() -> None:
    assert {Scoring("zh"): 1}[scoring(data("zh"))] == 1
