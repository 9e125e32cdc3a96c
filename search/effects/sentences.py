"""What the analysis found, in plain English."""

from search.effects.analysis import Analysis, Effect, Estimate, Interaction, Noise
from search.effects.importance import TOP, Importance
from search.settings.wording import count, short_name

DISAGREEMENT = 0.2  # between two shares of importance


def effect_sentences(found: Analysis, unit: str) -> list[str]:
    """Clear effects one by one; then what can't be told from noise, and what could not be told at all."""
    if found.needed is not None:
        return [f"Too few trials with scores to tell the effects apart: {found.needed} are needed for this space."]
    clear = [effect for effect in found.effects if effect.verdict == "clear"]
    sentences = [f"{_opening(_effect(effect, unit))}." for effect in clear]
    if not clear and any(effect.verdict != "wide" for effect in found.effects):
        sentences.append("No setting has an effect that these trials make sure of.")
    noise = [effect for effect in found.effects if effect.verdict == "seeds"]
    if noise and found.seeds:
        sentences.append(f"Not distinguishable from seed noise ({_noise(found.seeds, unit)}): {_names(noise)}.")
    if vague := [effect for effect in found.effects if effect.verdict == "open"]:
        among = (
            "More than seed noise, but not sure with these trials"
            if found.seeds
            else "Not distinguishable from noise (seeds and all that these effects leave open together)"
        )
        sentences.append(f"{among}: {'; '.join(_effect(effect, unit) for effect in vague)}.")
    for needed in sorted({effect.needed for effect in found.effects if effect.needed is not None}):
        wide = " or ".join(short_name(effect.path) for effect in found.effects if effect.needed == needed)
        sentences.append(_cannot_tell(found, f"what {wide} does", needed))
    sentences += [f"{short_name(path)}: no effect can be told, as {reason}." for path, reason in found.untold]
    return sentences


def interaction_sentences(found: Analysis, unit: str) -> list[str]:
    """The pairs of hyperparameters that do more, or less, together; none if none could be tried."""
    if found.needed is not None or not found.pairs:
        return ["Too few trials to say whether one setting changes what another does."] if found.effects else []
    clear = [_interaction(each, unit) for each in found.interactions if each.is_clear]
    if clear:
        return clear
    tried, strongest = f"({count(found.pairs, 'pair', 'pairs')} tried)", found.interactions[0]
    if strongest.estimate and strongest.estimate.needed is not None:
        return [_cannot_tell(found, f"whether a setting changes what another does {tried}", strongest.estimate.needed)]
    none = f"No setting surely changes what another does {tried}."
    return [none if strongest.chance == 1 else f"{none} The strongest sign of it: {_interaction(strongest, unit)}"]


def counted(found: Analysis) -> str:
    """How many of the scores of the last stage were measured, how many are forecasts, and what these are worth."""
    forecasts = sum(score.origin is not None for score in found.scores.values())
    measured = count(len(found.scores) - forecasts, "score was", "scores were")
    told = f"{measured} measured {found.stage}"
    if not forecasts:
        return f"{told}."
    are = count(forecasts, "is a forecast", "are forecasts")
    told += f", {are} for it, of stopped trials, by the regressions behind the effects."
    if wide := sum(score.is_wide for score in found.scores.values()):
        told += (
            f" These trials cannot tell {wide} of the forecasts, whose interval is wider than the range of the scores."
        )
    return told


def disagreement(importances: list[Importance]) -> str:
    """A word on where the two methods differ, and why they may."""
    share, trials = TOP
    asks = (
        "fANOVA asks what moves the score anywhere in the space, bad corners included; PED-ANOVA what sets the best "
        f"{share:.0%} of the trials ({trials} at least) apart from all. "
    )
    apart = sorted((each for each in importances if each.gap > DISAGREEMENT), key=lambda each: -each.gap)[:2]
    if not apart:
        return asks + "Here they agree."
    return f"{asks}They disagree: {'; '.join(map(_disagreement, apart))}."


def signed(number: float, unit: str) -> str:
    """+0.90 or −0.40: two places of BLEU, four of a loss."""
    digits = 2 if unit == "BLEU" else 4
    return f"{'+' if number >= 0 else '−'}{abs(number):.{digits}f}"


def _disagreement(each: Importance) -> str:
    fanova = each.fanova or 0.0
    why = "sets the best apart, though it moves few scores over the whole space"
    if fanova > each.ped_anova:
        why = "moves scores, but the best trials differ little in it from all others"
    return f"{short_name(each.path)} {why} ({fanova:.0%} by fANOVA, {each.ped_anova:.0%} by PED-ANOVA)"


def _effect(effect: Effect, unit: str) -> str:
    if len(effect.estimates) == 1:
        return f"{effect.largest.label}: {_size(effect.largest, unit)} {unit}"
    parts = ", ".join(f"{each.label} {_size(each, unit)}" for each in effect.estimates)
    return f"{short_name(effect.path)}, beside the mean of its values: {parts} {unit}"


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
    return (
        f"a standard deviation of {deviation} {unit}, known to {count(noise.freedom, 'degree', 'degrees')} of freedom"
    )


def _names(effects: list[Effect]) -> str:
    return ", ".join(short_name(effect.path) for effect in effects)


def _opening(text: str) -> str:
    """Begin a sentence: one more head -> "One more head"; names stay as they are."""
    return text[:1].upper() + text[1:] if text.startswith(("one more ", "each ")) else text
