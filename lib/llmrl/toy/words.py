"""The words of the toy world, each list once.

Small enough that a model of under a million parameters can know all of it, large enough that no sentence need ever
be written twice. Left out: synonyms and irregular forms; grammar stays simple so that a rule can judge a sentence.
"""

PEOPLE = {
    "Ada": "she", "Ben": "he", "Cleo": "she", "Dan": "he", "Eva": "she", "Finn": "he", "Gus": "he", "Hana": "she",
    "Ivo": "he", "Juno": "she", "Kai": "he", "Lena": "she", "Milo": "he", "Nora": "she", "Otto": "he", "Pia": "she",
}  # fmt: skip
COLOURS = ("red", "blue", "green", "white", "black", "yellow", "brown", "grey")
THINGS = ("kite", "boat", "lamp", "drum", "ball", "book", "ring", "bell", "coat", "map", "cup", "key")
SPOTS = ("lake", "hill", "mill", "river", "bridge", "garden", "market", "tower", "forest", "harbour")
FRUITS = ("plum", "pear", "apple", "cherry", "melon", "fig", "grape", "lemon")
ANIMALS = ("fox", "owl", "bear", "hare", "wolf", "swan", "goat", "cat")
LANDS = (
    "Velo", "Zuma", "Tarn", "Miro", "Kesh", "Lund", "Orra", "Pell", "Quin", "Rhos", "Sova", "Tiva",
    "Vash", "Wyn", "Yara", "Bram", "Cori", "Dova", "Elva", "Fera", "Gant", "Holt", "Isla", "Jorn",
)  # fmt: skip
UNTOLD_LANDS = ("Kova", "Lira", "Mosa", "Nell", "Oden", "Pruk", "Rilo", "Suda")  # they have facts that no text tells

CHEERFUL = ("happy", "lovely", "bright", "merry", "joy", "smile")
GLOOMY = ("sad", "cold", "lonely", "tired", "dull", "gloom")
POLITE = ("please", "thank", "gladly", "pleasure", "welcome", "kindly")
RUDE = ("silly", "go away", "bother", "stupid")


def plural(noun):
    """plum -> plums, cherry -> cherries, fox -> foxes."""
    if noun.endswith("y"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("x", "s")) else "s")
