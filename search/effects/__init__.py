"""What each hyperparameter did to the score, how sure that is, and which matter: the part of a report that explains."""
