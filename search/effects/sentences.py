"""The results of the analysis as sentences."""

from search.effects.analysis import Analysis, Effect, Estimate, Interaction, Noise
from search.effects.importance import TOP, Importance
from search.settings.wording import count, short_name

DISAGREEMENT = 0.2  # the least difference between two shares of importance that is reported


def effect_sentences(found: Analysis, unit: str) -> list[str]:
    """Sentences on clear effects, then on those that may be noise, then on those that can't be estimated."""
    if found.needed is not None:
        return [f"Too few trials with scores to tell the effects apart: {found.needed} are needed for this space."]
    clear = [effect for effect in found.effects if effect.verdict == "clear"]
    sentences = [f"{_opening(_effect(effect, unit))}." for effect in clear]
    if not clear and any(effect.verdict != "wide" for effect in found.effects):
        sentences.append("No setting has a significant effect in these trials.")
    noise = [effect for effect in found.effects if effect.verdict == "seeds"]
    if noise and found.seeds:
        sentences.append(f"Not distinguishable from seed noise ({_noise(found.seeds, unit)}): {_names(noise)}.")
    if vague := [effect for effect in found.effects if effect.verdict == "open"]:
        among = (
            "More than seed noise, but not significant in these trials"
            if found.seeds
            else "Not distinguishable from noise (seeds, and all that these effects do not explain)"
        )
        sentences.append(f"{among}: {'; '.join(_effect(effect, unit) for effect in vague)}.")
    for needed in sorted({effect.needed for effect in found.effects if effect.needed is not None}):
        wide = " or ".join(short_name(effect.path) for effect in found.effects if effect.needed == needed)
        sentences.append(_cannot_tell(found, f"what {wide} does", needed))
    sentences += [f"{short_name(path)}: its effect is unknown, as {reason}." for path, reason in found.not_estimated]
    return sentences


def interaction_sentences(found: Analysis, unit: str) -> list[str]:
    """Sentences on pairs of hyperparameters that interact; none if no pair could be tried."""
    if found.needed is not None or not found.pairs:
        return ["Too few trials to say whether one setting changes what another does."] if found.effects else []
    clear = [_interaction(each, unit) for each in found.interactions if each.is_clear]
    if clear:
        return clear
    tried, strongest = f"({count(found.pairs, 'pair', 'pairs')} tried)", found.interactions[0]
    if strongest.estimate and strongest.estimate.needed is not None:
        return [_cannot_tell(found, f"whether a setting changes what another does {tried}", strongest.estimate.needed)]
    none = f"No setting significantly changes what another does {tried}."
    return [none if strongest.chance == 1 else f"{none} The strongest sign: {_interaction(strongest, unit)}"]


def counted(found: Analysis) -> str:
    """A sentence on the scores at the last stage: how many were measured, and how many are forecasts."""
    forecasts = sum(score.origin is not None for score in found.scores.values())
    measured = count(len(found.scores) - forecasts, "score was", "scores were")
    text = f"{measured} measured {found.stage}"
    if not forecasts:
        return f"{text}."
    are = count(forecasts, "is a forecast", "are forecasts")
    text += f", {are} for stopped trials, by the regressions behind the effects."
    if wide := sum(score.is_wide for score in found.scores.values()):
        text += (
            f" These trials cannot tell {wide} of the forecasts, whose interval is wider than the range of the scores."
        )
    return text


def disagreement(importances: list[Importance]) -> str:
    """Sentences on where the two methods of importance differ, and why."""
    share, trials = TOP
    asks = (
        "fANOVA asks what changes the score anywhere in the space, also in bad regions; PED-ANOVA asks what sets the "
        f"best {share:.0%} of the trials (at least {trials}) apart from all. "
    )
    apart = sorted((each for each in importances if each.gap > DISAGREEMENT), key=lambda each: -each.gap)[:2]
    if not apart:
        return asks + "Here they agree."
    return f"{asks}They disagree: {'; '.join(map(_disagreement, apart))}."


def signed(number: float, unit: str) -> str:
    """The number with its sign, such as +0.90 or −0.40, with two decimals for BLEU and four for a loss."""
    digits = 2 if unit == "BLEU" else 4
    return f"{'+' if number >= 0 else '−'}{abs(number):.{digits}f}"


def _disagreement(each: Importance) -> str:
    fanova = each.fanova or 0.0
    why = "sets the best trials apart, though it changes scores little over the whole space"
    if fanova > each.ped_anova:
        why = "changes scores, but the best trials differ little in it from all others"
    return f"{short_name(each.path)} {why} ({fanova:.0%} by fANOVA, {each.ped_anova:.0%} by PED-ANOVA)"


def _effect(effect: Effect, unit: str) -> str:
    if len(effect.estimates) == 1:
        return f"{effect.largest.label}: {_size(effect.largest, unit)} {unit}"
    parts = ", ".join(f"{each.label} {_size(each, unit)}" for each in effect.estimates)
    return f"{short_name(effect.path)}, relative to the mean of its values: {parts} {unit}"


def _size(estimate: Estimate, unit: str) -> str:
    return f"{signed(estimate.size, unit)} ± {signed(estimate.margin, unit).lstrip('+')}"


def _cannot_tell(found: Analysis, what: str, needed: int) -> str:
    trials = count(len(found.scores), "trial", "trials")
    return f"These {trials} cannot tell {what}; about {needed:,} would."


def _interaction(each: Interaction, unit: str) -> str:
    if each.steps is None or each.estimate is None or each.estimate.needed is not None:
        first, second = map(short_name, each.paths)
        return f"What {first} does depends on {second} ({_chance(each)})."
    first, second = each.steps
    return f"What {first} does changes by {_size(each.estimate, unit)} {unit} with {second} ({_chance(each)})."


def _chance(each: Interaction) -> str:
    return "p < 0.001" if each.chance < 0.001 else f"p = {each.chance:.2g}"


def _noise(noise: Noise, unit: str) -> str:
    deviation = signed(noise.deviation, unit).lstrip("+")
    return f"a standard deviation of {deviation} {unit}, with {count(noise.freedom, 'degree', 'degrees')} of freedom"


def _names(effects: list[Effect]) -> str:
    return ", ".join(short_name(effect.path) for effect in effects)


def _opening(text: str) -> str:
    """The begin of a sentence: "one more head" -> "One more head"; names are not changed."""
    return text[:1].upper() + text[1:] if text.startswith(("one more ", "each ")) else text
