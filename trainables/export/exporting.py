"""Exports a trained model: it is written, checked, described, and only then put in its place."""

from dataclasses import dataclass
from pathlib import Path

from trainables.base.errors import UserError
from trainables.base.files import make_folder, publish_folder, remove
from trainables.data.corpora.scoring import scoring
from trainables.data.reading.text import Split
from trainables.export.card import Model, Origin, languages, model_card, settings_of
from trainables.export.checking import Check, Comparison
from trainables.export.forms import EXACT, FORMS, Form
from trainables.export.trained import TrainedModel


@dataclass(frozen=True)
class Destination:
    """Where a model is exported to, and in which form."""

    form: str  # a name of FORMS
    folder: Path  # empty, or not there yet
    quantization: str = EXACT  # the type of the weights

    def check(self, trained: TrainedModel) -> None:
        """Raises UserError if the form can't hold the model, or as `check_place`."""
        if why := FORMS[self.form].refusal(trained.config):
            raise UserError(why)
        self.check_place()

    def check_place(self) -> None:
        """Raises UserError for an unknown type of weights, a missing package, or a folder with files."""
        form = FORMS[self.form]
        if self.quantization not in form.quantizations:
            raise UserError(f"--quantization: {self.form} has {', '.join(form.quantizations)}, not {self.quantization}")
        form.need(f"--to {self.form}")
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise UserError(f"{self.folder}: holds files; name an empty or a new folder")


def export(trained: TrainedModel, destination: Destination, valid: Split, origin: Origin) -> dict[str, Comparison]:
    """Write a model, its tokenizer and a model card into a folder.

    The model with weights in single precision is compared with ours on the validation split first; then that with the
    wanted weights. Returns the comparisons by the type of weights.

    Raises:
        UserError: As `Destination.check`, or if the exported model translates otherwise. The folder is then as it was.
    """
    destination.check(trained)
    form, folder, comparisons = FORMS[destination.form], destination.folder, {}
    make_folder(folder.parent)
    check = Check(trained, valid, scoring(trained.config.data))
    drafts = folder.parent / f".{folder.name}.export"
    remove(drafts)
    try:
        for quantization in dict.fromkeys((EXACT, *form.beside, destination.quantization)):
            draft = drafts / quantization
            draft.mkdir(parents=True)
            form.write(trained, draft, quantization)
            comparisons[quantization] = check.compare(form.load(draft, trained))
            if quantization == EXACT:
                comparisons[EXACT].require_equal()
        card = model_card(_described(trained, form), destination.form, destination.quantization, comparisons, origin)
        (drafts / destination.quantization / "README.md").write_text(card, encoding="utf-8")
        publish_folder(drafts / destination.quantization, folder)
    finally:
        remove(drafts)
    return comparisons


def _described(trained: TrainedModel, form: Form) -> Model:
    return Model(
        languages=languages(trained.config.data),
        kind=f"A transformer of {trained.network.num_parameters():,} parameters",
        usage=form.usage(trained),
        beam_size=trained.beam_size,
        length_penalty=trained.length_penalty,
        settings=settings_of(trained.config, ("tokenizer.", "model.", "training.")),
    )
