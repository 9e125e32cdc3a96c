"""The grammar that generated the embedded English–French corpus: nothing is downloaded or copied.

The grammar is synchronous: every rule composes the English and the French of a phrase together. Its modules,
each importing only from those above it:

    words           nouns, adjectives, verbs and how their entries are read
    lexicon         the words themselves, as data
    english, french inflection
    phrases         noun phrases, pronouns and predicates as values
    clauses         subject, predicate and tense make a statement, a question, an infinitive
    draft           the dice, and what the parts of one sentence share
    noun_phrases    the functions that draw parts at random: noun phrases,
    circumstances   places and times,
    predicates      predicates and relative clauses,
    statements      statements, simple and joined,
    questions       questions and commands
    sentences       one sentence of any form, as it is written
    corpus          training, validation and test splits

The English determines the French. Where it leaves a choice, there is a fixed rule: "I", "we", "they" and an
unaddressed "you" (vous) are masculine; a person addressed by first name is tu; a simple past is a passé
composé, with stative verbs an imparfait; a later he, she, it or they is the subject before it, an object
pronoun the object before it; questions invert pronouns and put est-ce que before nouns.
"""
