"""The words of the phrasebook as plain data: what inflects regularly is one entry, what does not says so.

Nouns and adjectives carry one-letter *kinds* that keep sentences sensible (people read, one eats food):
p person, a animal, f food one counts, g food one does not, d drink, t text, c clothing, o object,
r furniture, k what opens, v vehicle, l place one enters, w landmark. The module `words` reads the entries.
"""

from phrasebook.words import Pair, adjectives, nouns, pairs, verbs

KINDS = "pafgdtcorkvlw"

# english french gender, and the prepositions of a place where they are not in and dans
NOUNS = nouns(
    p="""
        man homme m, woman femme f, boy garçon m, girl fille f, child enfant m, teacher professeur m,
        student étudiant m, doctor médecin m, nurse infirmière f, lawyer avocat m, baker boulanger m, farmer fermier m,
        neighbour voisin m, friend ami m, sister sœur f, brother frère m, mother mère f, father père m, uncle oncle m,
        aunt tante f, queen reine f, king roi m, hero héros m, writer écrivain m, singer chanteuse f,
        dancer danseuse f, painter peintre m, cook cuisinier m, waitress serveuse f, actress actrice f,
        general général m, princess princesse f, soldier soldat m, worker ouvrier m, judge juge m, driver chauffeur m,
        son fils m, wife épouse f, husband mari m, tourist touriste m
    """,
    a="""
        dog chien m, cat chat m, horse cheval m, bird oiseau m, mouse souris f, cow vache f, lamb agneau m,
        wolf loup m, fox renard m, goose oie f, duck canard m, bee abeille f, owl hibou m, rabbit lapin m, hen poule f,
        spider araignée f, snake serpent m, monkey singe m, elephant éléphant m, tortoise tortue f, donkey âne m,
        goat chèvre f, butterfly papillon m, hamster hamster m
    """,
    f="""
        apple pomme f, pear poire f, orange orange f, cake gâteau m, egg œuf m, tomato tomate f, carrot carotte f,
        cherry cerise f, strawberry fraise f, peach pêche f, biscuit biscuit m, pancake crêpe f, onion oignon m,
        mushroom champignon m, bean haricot m, lobster homard m, lemon citron m, pie tarte f, sausage saucisse f,
        banana banane f, leek poireau m, walnut noix f
    """,
    g="""
        bread pain m, cheese fromage m, butter beurre m, meat viande f, rice riz m, honey miel m, soup soupe f,
        jam confiture f, chocolate chocolat m, salad salade f, ham jambon m, oil huile f
    """,
    d="""
        water eau f, milk lait m, tea thé m, coffee café m, wine vin m, beer bière f, juice jus m, lemonade limonade f
    """,
    t="""
        book livre m, letter lettre f, newspaper journal m, poem poème m, novel roman m, story histoire f,
        article article m, message message m, notebook cahier m, report rapport m, song chanson f, speech discours m
    """,
    c="""
        coat manteau m, hat chapeau m, dress robe f, shirt chemise f, skirt jupe f, shoe chaussure f, boot botte f,
        sock chaussette f, jacket veste f, scarf écharpe f, glove gant m, jumper pull m, tie cravate f,
        belt ceinture f, ring bague f, jewel bijou m
    """,
    o="""
        key clé f, lamp lampe f, cup tasse f, glass verre m, plate assiette f, knife couteau m, spoon cuillère f,
        fork fourchette f, clock horloge f, mirror miroir m, painting tableau m, photo photo f, computer ordinateur m,
        phone téléphone m, umbrella parapluie m, axe hache f, hammer marteau m, toy jouet m, ball balle f,
        gift cadeau m, basket panier m, blanket couverture f, ladder échelle f, guitar guitare f, harp harpe f,
        flower fleur f, stone pierre f, pen stylo m, ticket billet m, flag drapeau m, tool outil m, needle aiguille f
    """,
    r="""
        table table f, chair chaise f, bed lit m, armchair fauteuil m, carpet tapis m, shelf étagère f, desk bureau m,
        bench banc m
    """,
    k="""
        box boîte f, bag sac m, bottle bouteille f, suitcase valise f, window fenêtre f, door porte f, drawer tiroir m,
        wardrobe armoire f, envelope enveloppe f, parcel colis m
    """,
    v="""
        car voiture f, train train m, boat bateau m, plane avion m, bicycle vélo m, bus bus m, lorry camion m
    """,
    l="""
        garden jardin m, house maison f, school école f at à, church église f at à, station gare f at à,
        market marché m at à, bakery boulangerie f at à, library bibliothèque f at à, museum musée m at à,
        hospital hôpital m at à, kitchen cuisine f, castle château m at à, village village m, city ville f, park parc m,
        hotel hôtel m at à, restaurant restaurant m at à, theatre théâtre m at à, farm ferme f on à, forest forêt f,
        factory usine f at à, shop magasin m at à, airport aéroport m at à, pharmacy pharmacie f at à,
        bedroom chambre f, workshop atelier m
    """,
    w="""
        bridge pont m, street rue f, square place f, beach plage f, island île f, river rivière f, mountain montagne f,
        tower tour f, fountain fontaine f, tree arbre m
    """,
)

# english french kinds; "+" forms its comparative with -er, "=" has none, otherwise "more"
# ";" ends a topic: of its adjectives no two are said of one thing
ADJECTIVES = adjectives(
    before="""
        big+ grand aforkvlw, small+ petit paforctkvlw, long+ long tw; old+ vieux pactorkvlw, new+ nouveau ctorkvl,
        young+ jeune pa; beautiful beau pactorvlw, pretty+ joli pactorlw; good+ bon pfgdtv, bad+ mauvais fgdtv
    """,
    after="""
        red= rouge fcorkvd, blue= bleu corkv, green= vert fcorkv, white= blanc acorkvl, black= noir acorkv,
        yellow= jaune fcorkv, grey= gris acorkvlw, brown= brun acork, purple= violet cork; French= français ptfgdlv,
        English= anglais ptfgdlv, Italian= italien ptfgdlv, German= allemand ptfgdlv, Japanese= japonais ptfgdlv,
        foreign= étranger pt; happy+ heureux pa, sad+ triste pat, tired fatigué pa, furious furieux p,
        worried inquiet p, calm+ calme paw, nervous nerveux pa; rich+ riche p, poor+ pauvre p; expensive cher fgdtcorv,
        rare rare at; clean+ propre corkvl, dirty+ sale pacorkvl; heavy+ lourd orktc, light+ léger ctok;
        cold+ froid fgdlw, hot+ chaud fgd; delicious= délicieux fgd, bitter amer fd, fresh+ frais fgd, ripe+ mûr f;
        narrow étroit cw, wide+ large w, thick+ épais ct, round+ rond rok; boring ennuyeux pt,
        interesting intéressant ptl, funny+ drôle pat, strange+ étrange patow; strong+ fort pa, weak+ faible pa,
        sick malade pa; fast+ rapide av, slow+ lent pav, lazy+ paresseux pa, active actif p; modern moderne torvl,
        medieval= médiéval lw, electric= électrique v; proud+ fier p, shy timide pa, ashamed honteux p,
        jealous jaloux p; broken= cassé ork, fragile fragile ork; dangerous dangereux pavw, wild+ sauvage a,
        careful prudent p, brave+ courageux pa; famous célèbre ptlw, intelligent intelligent pa, curious curieux pa,
        patient patient pa, generous généreux p, polite poli p, empty vide kl, public= public l, wet+ mouillé acork,
        useful utile tork, difficult difficile t, magnificent= magnifique tcolwrv, elegant élégant pcolr,
        comfortable confortable rcvl, royal= royal lw, loyal loyal p, quiet+ tranquille alw, honest honnête p
    """,
)

# english (base, or base past participle) | french | kinds of the direct object; what animals do comes first
ACTIONS = verbs(
    """
        eat ate eaten|manger|fg, drink drank drunk|boire|d, taste|goûter|fgd, lose lost lost|perdre|tco,
        find found found|trouver|paftgdcorkvlw, look-for|chercher|patgdcokvl, look-at|regarder|patcorkvlw,
        wait-for|attendre|pv, see saw seen|voir|patcorkvlw, hear heard heard|entendre|pav, follow|suivre|pav,
        protect|protéger|palw, break broke broken|casser|or, hide hid hidden|cacher|fto,
        forget forgot forgotten|oublier|tcok, steal stole stolen|voler|fatco,
        catch caught caught|attraper|a, leave left left|quitter|pl, bring brought brought|apporter|fgdto,
        cross|traverser|lw, kill|tuer|a, obey|obéir à|p
    """,
    animal=True,
) + verbs("""
    prepare|préparer|fgd, slice|couper|fg, buy bought bought|acheter|fgdtcorkva, sell sold sold|vendre|fgdtcorkva,
    study|étudier|t, write wrote written|écrire|t, translate|traduire|t, wear wore worn|porter|c, wash|laver|fcva,
    feed fed fed|nourrir|a, listen-to|écouter|p, help|aider|p, invite|inviter|p, thank|remercier|p, call|appeler|pa,
    meet met met|rencontrer|p, visit|visiter|l, draw drew drawn|dessiner|palw, paint|peindre|rlvw,
    photograph|photographier|palw, open|ouvrir|kt, close|fermer|k, repair|réparer|orkv, carry|transporter|ork,
    drive drove driven|conduire|v, build built built|construire|lv, clean|nettoyer|corkvl,
    choose chose chosen|choisir|ftcorv, finish|finir|t, receive|recevoir|to, learn|apprendre|t, use|utiliser|ov,
    take took taken|prendre|fovt, order|commander|fgd, copy|copier|t, answer|répondre à|p, phone|téléphoner à|p,
    talk-to|parler à|pa, write-to wrote-to written-to|écrire à|p, talk-about|parler de|patvlw, dream-of|rêver de|pavlw
""")
ATTITUDES = verbs(
    """
        like|aimer|pafgdtcorvlw, love|adorer|pafgdtcvlw, hate|détester|pafgdtvl, prefer|préférer|fgdtcovl,
        know knew known|connaître|ptlw
    """,
    stative=True,
    animal=True,
) + verbs(
    """
        have had had|avoir|fgdtcorkva, own|posséder|vlcor, admire|admirer|platw, respect|respecter|p,
        understand understood understood|comprendre|pt
    """,
    stative=True,
)
TRANSITIVE = ACTIONS + ATTITUDES
GIVING = verbs("""
    give gave given|donner|fgdtco, show showed shown|montrer|tcorkvl, send sent sent|envoyer|tcof,
    lend lent lent|prêter|tcov, offer|offrir|fgdtco, sell sold sold|vendre|fgcov, explain|expliquer|t,
    promise|promettre|o
""")
# the same, with kinds of manner
INTRANSITIVE = verbs(
    """
        sleep slept slept|dormir|wamb, run ran run|courir|wamt, swim swam swum|nager|wambst, walk|marcher|wambst,
        stay|rester|t, play|jouer|wambqt, arrive|arriver, fall fell fallen|tomber, rest|se reposer|wab,
        eat ate eaten|manger|wambst, wait|attendre|t, fall-asleep fell-asleep fallen-asleep|se endormir|s
    """,
    animal=True,
) + verbs("""
    work|travailler|wambst, laugh|rire|ambqt, cry|pleurer|ambq, sing sang sung|chanter|wambqt, dance|danser|wambst,
    smile|sourire, shout|crier|amb, get-dressed got-dressed got-dressed|se habiller|s
""")
LEAVING = verbs(
    """
        leave left left|partir, come-back came-back come-back|revenir, hurry|se dépêcher, arrive|arriver,
        go-out went-out gone-out|sortir, get-up got-up got-up|se lever, wake-up woke-up woken-up|se réveiller
    """,
    animal=True,
) + verbs("lie|mentir")
MOTION = verbs("go went gone|aller, return|retourner, come came come|venir", animal=True)
THINKING = verbs("think|penser, know|savoir, believe|croire, say|dire, hope|espérer", stative=True)
BE, LIVE = verbs("be|être, live|habiter", stative=True)
(BE_HAVING,) = verbs("be|avoir", stative=True)  # hungry: avoir faim

# what goes with a kind
NOUNS_OF = {kind: tuple(noun for noun in NOUNS if noun.kind == kind) for kind in KINDS}
ADJECTIVES_FOR = {kind: tuple(adjective for adjective in ADJECTIVES if kind in adjective.kinds) for kind in KINDS}
VERBS_FOR = {kind: tuple(v for v in TRANSITIVE if kind in v.kinds and not v.preposition) for kind in KINDS}

MEN = ("Paul", "Luc", "Thomas", "Antoine", "Julien", "Étienne", "Nicolas", "Marc", "Olivier", "David")
WOMEN = ("Marie", "Anne", "Claire", "Sophie", "Julie", "Élise", "Camille", "Inès", "Louise", "Nadia")

TOWNS = pairs("""
    in Paris|à Paris, in Lyon|à Lyon, in London|à Londres, in France|en France, in Italy|en Italie,
    in Spain|en Espagne, in Germany|en Allemagne, in Canada|au Canada, in Japan|au Japon,
    in the United States|aux États-Unis, in Brussels|à Bruxelles, in Portugal|au Portugal, abroad|à l'étranger
""")
DESTINATIONS = pairs("""
    to Paris|à Paris, to London|à Londres, to Italy|en Italie, to Germany|en Allemagne, to Japan|au Japon,
    to Spain|en Espagne, to Canada|au Canada, to Geneva|à Genève
""")
AROUND = pairs("near|près de, behind|derrière, in front of|devant, opposite|en face de, not far from|non loin de")
NEARBY = pairs("near|près de, opposite|en face de, not far from|non loin de")
SURFACES = pairs("on|sur, under|sous, behind|derrière, beside|à côté de")

DAYS = pairs("Monday|lundi, Tuesday|mardi, Wednesday|mercredi, Thursday|jeudi, Friday|vendredi, Saturday|samedi")
MONTHS = pairs("January|janvier, March|mars, April|avril, May|mai, July|juillet, August|août, October|octobre")
UNITS = pairs("day|jour, week|semaine, month|mois, year|an, minute|minute, hour|heure")
TIMES = {
    "present": pairs("""
        every day|tous les jours, every morning|tous les matins, every evening|tous les soirs, every year|tous les ans,
        in winter|en hiver, in summer|en été, in spring|au printemps, in autumn|en automne
    """),
    "past": pairs("""
        yesterday|hier, yesterday evening|hier soir, last week|la semaine dernière, last year|l'année dernière,
        last month|le mois dernier, this morning|ce matin, yesterday morning|hier matin
    """),
    "future": pairs("""
        tomorrow|demain, next week|la semaine prochaine, next year|l'année prochaine, soon|bientôt, tonight|ce soir,
        tomorrow morning|demain matin, next month|le mois prochain, the day after tomorrow|après-demain
    """),
    "progressive": pairs("now|maintenant, at the moment|en ce moment"),
}
TIMES["going"] = TIMES["future"]
FREQUENCIES = pairs("often|souvent, always|toujours, sometimes|parfois, rarely|rarement")
SHORT_MANNERS = {  # before a French participle or infinitive
    "w": Pair("well", "bien"),
    "a": Pair("a lot", "beaucoup"),
    "m": Pair("too much", "trop"),
    "b": Pair("a little", "un peu"),
}
LONG_MANNERS = {"s": Pair("slowly", "lentement"), "q": Pair("quietly", "doucement"), "t": Pair("together", "ensemble")}
AGES = {"boy": (2, 12), "girl": (2, 12), "child": (2, 12), "student": (18, 29)}
ADULT_AGE = (20, 90)
STATES = pairs("""
    hungry|faim, thirsty|soif, afraid|peur, cold|froid, hot|chaud, sleepy|sommeil, right|raison, wrong|tort
""")
WEATHER = {
    "present": pairs("""
        it is raining|il pleut, it is snowing|il neige, it is cold|il fait froid, it is late|il est tard,
        it is hot|il fait chaud, the weather is nice|il fait beau
    """),
    "past": pairs("""
        it was raining|il pleuvait, it was snowing|il neigeait, it was cold|il faisait froid,
        it was late|il était tard, it was hot|il faisait chaud, the weather was nice|il faisait beau
    """),
    "if": pairs("""
        it rains|il pleut, it snows|il neige, it is cold|il fait froid, it is hot|il fait chaud,
        the weather is nice|il fait beau
    """),
}
