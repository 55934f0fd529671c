"""How well pictures obey their conditions: alone, in pairs and all together.

Every score lies between a floor and a ceiling. It works for any condition of any model, as a plugin
says itself how a picture obeys it; beside that word stands, where there is one, a judge that the
model was not conditioned with.
"""
